"""The three things `rewardkit posters` makes: images with captions, prompt files, preference pairs."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from rewardkit.data import PreferenceRecord, read_pairs, write_pairs
from rewardkit.errors import UserError
from rewardkit.images import save_image, to_tensor
from rewardkit.io.files import write_json
from rewardkit.io.jsonl import write_rows
from rewardkit.io.progress import Progress
from rewardkit.posters.draw import draw
from rewardkit.posters.flaws import flawed, pick_font
from rewardkit.posters.judge import gold_judges
from rewardkit.posters.names import TEMPERATURE
from rewardkit.posters.preferences import INVISIBLE, TIE, bayes_accuracy, draw_labels, ties
from rewardkit.posters.requests import Request, distinct_requests, random_request
from rewardkit.rewards.protocol import AXES, applies
from rewardkit.types import Images, Mask, Scores
from rewardkit.workflows.posters.config import PostersConfig

Fonts = Sequence[Path]
Gold = dict[str, tuple[Scores, Scores]]


def images(config: PostersConfig, fonts: Fonts, generator: Generator) -> None:
    """Write true renderings and metadata.jsonl (file_name, prompt, what the scene is)."""
    rows = []
    config.out.mkdir(parents=True, exist_ok=True)
    with Progress("posters", config.count) as bar:
        for index in range(config.count):
            request = random_request(generator, config.languages, config.style, config.text_share)
            image = draw(request.scene, config.size, pick_font(fonts, request.scene.text, generator))
            save_image(to_tensor(image), config.out / f"{index:06d}.png")
            rows.append({"file_name": f"{index:06d}.png", "prompt": request.prompt} | request.scene.stated())
            bar.update()
    write_rows(config.out / "metadata.jsonl", rows)
    print(f"{config.count} posters in {config.out}")


def prompts(config: PostersConfig, generator: Generator) -> None:
    """Write train.jsonl and held_out.jsonl, which share no scene and no prompt."""
    requests = list(distinct_requests(config.count, generator, config.languages, config.style, config.text_share))
    held_out = round(config.held_out * config.count)
    for split, part in (("held_out", requests[:held_out]), ("train", requests[held_out:])):
        rows = [{"prompt": request.prompt, "split": split} | request.tags() for request in part]
        write_rows(config.out / f"{split}.jsonl", rows)
    print(f"{config.count - held_out} prompts in {config.out / 'train.jsonl'}, {held_out} in held_out.jsonl")


def pairs(config: PostersConfig, fonts: Fonts, generator: Generator) -> None:
    """Write pairs.jsonl and images/ for `train-rm`; gold.jsonl keeps the gold scores apart, for the ceiling only."""
    drawn = round(config.base_share * config.count) if config.base else 0
    asked = new_requests(config, generator)
    batches = _batches(config, asked, config.count - drawn, fonts, generator)
    (config.out / "images").mkdir(parents=True, exist_ok=True)
    records: list[PreferenceRecord] = []
    gold_rows: list[dict[str, Any]] = []
    judges = gold_judges()
    with Progress("pairs", config.count) as bar:
        for part, first, second, source in batches:
            wanted = [request.prompt for request in part]
            gold = {j.axis: (j.score(first, wanted), j.score(second, wanted)) for j in judges}
            labels = label(gold, wanted, generator)
            for row, request in enumerate(part):
                paths = [config.out / "images" / f"{len(records):06d}_{side}.png" for side in ("a", "b")]
                for image, path in zip((first[row], second[row]), paths, strict=True):
                    save_image(image, path)
                judged = {axis: labels[axis][row].item() for axis in AXES}
                records.append(PreferenceRecord(request.prompt, paths[0], paths[1], judged, request.prompt, source))
                gold_rows.append(gold_row(gold, row))
            bar.update(len(part))
    write_rows(config.out / "gold.jsonl", gold_rows)
    write_pairs(config.out / "pairs.jsonl", records)
    report = ceilings(gold_rows, [record.prompt for record in records])
    write_json(config.out / "ceilings.json", report)
    for axis, found in report.items():
        print(
            f"{axis}: Bayes ceiling {found['ceiling']:.3f} on {found['n']} pairs without ties (T = {TEMPERATURE[axis]})"
        )
    print(f"{len(records)} pairs in {config.out / 'pairs.jsonl'}, {drawn} of them drawn by {config.base or 'no base'}")


def new_requests(config: PostersConfig, generator: Generator) -> list[Request]:
    """Draw requests whose prompts are in none of the excluded files."""
    known = {record.prompt for path in config.exclude for record in read_pairs(path)}
    asked: list[Request] = []
    for _ in range(100 * config.count):
        request = random_request(generator, config.languages, config.style, config.text_share)
        if request.prompt not in known:
            asked.append(request)
        if len(asked) == config.count:
            return asked
    raise UserError(f"nearly every prompt is in the excluded files; found {len(asked)} of {config.count} new ones")


def _batches(
    config: PostersConfig, asked: list[Request], rendered: int, fonts: Fonts, generator: Generator
) -> Iterator[tuple[list[Request], Images, Images, str]]:
    """Draw both images of every request: the first `rendered` with flaws put in, the others by the base."""
    for start in range(0, rendered, config.batch_size):
        part = asked[start : min(start + config.batch_size, rendered)]
        first, second = (
            torch.stack([flawed(request.stated, config.size, fonts, generator) for request in part]) for _ in range(2)
        )
        yield part, first, second, "posters"
    if rendered < len(asked):
        yield from _by_base(config, asked[rendered:])


def _by_base(config: PostersConfig, asked: list[Request]) -> Iterator[tuple[list[Request], Images, Images, str]]:
    from rewardkit.diffusion.load import load_base
    from rewardkit.diffusion.sampler import Sampler, SamplingConfig

    sampling = SamplingConfig(config.steps, config.guidance, batch_size=config.batch_size)
    sampler = Sampler(load_base(str(config.base), config.device), sampling)
    words = [request.prompt for request in asked]
    sides = [sampler.seeded(2 * config.seed + side).batches(words) for side in range(2)]
    for index, (first, second) in enumerate(zip(*sides, strict=True)):
        part = asked[index * config.batch_size : index * config.batch_size + len(first)]
        yield part, _rounded(first), _rounded(second), str(config.base)


def _rounded(images: Images) -> Images:
    """What a file keeps, so that the gold scores are those of the files."""
    return images.clamp(0, 1).mul(255).round() / 255


def label(gold: Gold, wanted: Sequence[str], generator: Generator) -> dict[str, Tensor]:
    """Draw the labels of every axis; an axis that a prompt does not ask about is a tie."""
    labels = {}
    for axis, (first, second) in gold.items():
        drawn = draw_labels(first, second, TEMPERATURE[axis], generator, INVISIBLE[axis])
        labels[axis] = torch.where(applies(axis, wanted), drawn, TIE)
    return labels


def gold_row(gold: Gold, row: int) -> dict[str, list[float]]:
    return {axis: [round(side[row].item(), 6) for side in sides] for axis, sides in gold.items()}


def ceilings(gold_rows: Sequence[dict[str, Any]], prompts: Sequence[str]) -> dict[str, dict[str, float]]:
    """Bayes ceiling and number of pairs without ties, by axis."""
    report = {}
    for axis in AXES:
        first, second = torch.tensor([row[axis] for row in gold_rows]).unbind(1)
        asked: Mask = applies(axis, prompts)
        first, second, seen = first[asked], second[asked], INVISIBLE[axis]
        n = int((~ties(first, second, seen)).sum())
        report[axis] = {"ceiling": bayes_accuracy(first, second, TEMPERATURE[axis], seen) if n else 0.0, "n": n}
    return report
