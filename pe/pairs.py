"""`rewardkit pe pairs`: rewrite each prompt several ways, generate images, keep the best and the worst by the panel.

Seedream 2.0's data for prompt engineering (arXiv:2503.07703, section 4.4). All wordings of one prompt start from the
same noise, and every image is scored with the prompt as typed, so that a rewrite cannot win by asking for something
else.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pe.config import MineConfig
from pe.quotes import keep_quotes
from pe.rewriter import Rewriter
from pe.rows import read_rows
from pe.select import Candidates, Scored, example, pair, split
from pe.shorten import load_shortener
from rewardkit.diffusion.base import Base
from rewardkit.diffusion.load import load_base
from rewardkit.diffusion.sampler import Sampler, SamplingConfig
from rewardkit.errors import UserError
from rewardkit.images import grid, load_image, save_image, to_pil
from rewardkit.io.files import write_json
from rewardkit.io.jsonl import write_rows
from rewardkit.io.progress import Progress
from rewardkit.prompts import Prompt, as_prompts, read_prompts
from rewardkit.rewards.loaded import AnyReward, score_all
from rewardkit.rewards.panel import Panel
from rewardkit.rewards.registry import load_rewards
from rewardkit.training.device import pick_device, pick_dtype
from rewardkit.types import Images

CHUNK = 32
"""Prompts whose images are in memory together."""
SHOWN = 12
"""Number of pairs in the figure."""


def mine(config: MineConfig) -> None:
    """Mine preference pairs and examples for the rewriter."""
    mine_parts(config, config.prompts, config.rewards, config.base, config.rewriter)


def mine_parts(
    config: MineConfig,
    prompts: Path | str | Sequence[str | Prompt],
    rewards: Sequence[str | Path | AnyReward],
    base: str | Base,
    rewriter: str | Rewriter,
) -> None:
    """Mine with parts that are named or handed in; see `mine` for what is written."""
    if rewriter == "none" and config.candidates_file is None:
        raise UserError("nothing to choose from: --rewriter is none and there is no --candidates-file")
    device = pick_device(config.device)
    texts = list(dict.fromkeys(prompt.text for prompt in as_prompts(prompts, config.column)))[: config.limit]
    judges = load_rewards(rewards, device, config.dtype)
    if isinstance(base, str):
        base = load_base(base, device, pick_dtype(config.dtype, device))
    if isinstance(rewriter, str) and rewriter != "none":
        rewriter = Rewriter.load(rewriter, device, config.task)
    mine_with(config, texts, rewriter if isinstance(rewriter, Rewriter) else None, base, judges)


def mine_with(
    config: MineConfig, prompts: Sequence[str], writer: Rewriter | None, base: Base, rewards: Sequence[AnyReward]
) -> None:
    """Mine with a rewriter, a base and a panel already in memory; see `mine` for what is written."""
    groups = judge(config, base, rewards, propose(config, prompts, writer))
    pairs, without_pair = split([pair(group, config.margin) for group in groups])
    examples, without_example = split([example(group, config.margin) for group in groups])
    examples += shortened(config)
    write_rows(config.out / "pairs.jsonl", pairs)
    write_rows(config.out / "sft.jsonl", examples)
    counts = {
        "prompts": len(prompts),
        "pairs": len(pairs),
        "without_pair": without_pair,
        "examples": len(examples),
        "without_example": without_example,
    }
    report(config.out, counts, groups, pairs)


def propose(config: MineConfig, prompts: Sequence[str], writer: Rewriter | None) -> list[list[str]]:
    """List the wordings of each prompt: first as typed, then its distinct rewrites, all with its quoted text."""
    found = {prompt: [prompt] for prompt in prompts}
    for row in read_rows(config.candidates_file, ("prompt", "rewrite")) if config.candidates_file else []:
        if row["prompt"] in found:
            found[row["prompt"]].append(keep_quotes(row["prompt"], row["rewrite"]))
    if writer is not None:
        rewrites = writer.rewrite(
            prompts,
            n=config.candidates,
            temperature=config.temperature,
            seed=config.seed,
            batch_size=config.batch_size,
            progress=True,
        )
        for prompt, texts in zip(prompts, rewrites, strict=True):
            found[prompt] += texts
    return [list(dict.fromkeys(texts)) for texts in found.values()]


def judge(
    config: MineConfig, base: Base, rewards: Sequence[AnyReward], wordings: Sequence[Sequence[str]]
) -> list[Candidates]:
    """Generate and score images of every wording; the panel's z-scores are fitted on all these images, then frozen."""
    (config.out / "images").mkdir(parents=True, exist_ok=True)
    sampler = Sampler(base, SamplingConfig(config.steps, config.guidance, config.seed, config.batch_size))
    flat = [(number, text) for number, texts in enumerate(wordings) for text in texts]
    originals = [wordings[number][0] for number, _ in flat]
    with Progress("drawing and judging", len(flat) * config.noises) as bar:
        raws = [
            _judge_noise(sampler.seeded(config.seed + noise), rewards, wordings, bar, None if noise else config.out)
            for noise in range(config.noises)
        ]
    everything = {name: torch.cat([raw[name] for raw in raws]) for name in raws[0]}
    panel = Panel(rewards).fit(everything, originals * len(raws))
    totals = torch.stack([panel.total(raw, originals) for raw in raws]).mean(0).tolist()
    scored: list[list[Scored]] = [[] for _ in wordings]
    for (number, text), score in zip(flat, totals, strict=True):
        scored[number].append(Scored(text, score, _image_path(config.out, number, len(scored[number]))))
    return [Candidates(group[0], group[1:]) for group in scored]


def _judge_noise(
    sampler: Sampler, rewards: Sequence[AnyReward], wordings: Sequence[Sequence[str]], bar: Progress, out: Path | None
) -> dict[str, Tensor]:
    """Return the raw scores of every wording, by prompt, for one noise; the images are saved in `out`, if given."""
    parts: list[dict[str, Tensor]] = []
    for first in range(0, len(wordings), CHUNK):
        chunk = wordings[first : first + CHUNK]
        drawn = draw(sampler, chunk, first)
        for offset, (texts, images) in enumerate(zip(chunk, drawn, strict=True)):
            raw = score_all(rewards, images, [texts[0]] * len(texts))
            parts.append({name: value.detach().double().cpu() for name, value in raw.items()})
            if out is not None:
                for place, image in enumerate(images):
                    to_pil(image).save(_image_path(out, first + offset, place))
            bar.update(len(texts))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def draw(sampler: Sampler, chunk: Sequence[Sequence[str]], first: int) -> list[Images]:
    """Generate images of the wordings of each prompt of a chunk, all of one prompt from the same noise."""
    columns = []
    for place in range(max(map(len, chunk))):
        # A prompt with fewer wordings repeats one, so that the noise of the others does not change.
        texts = [texts[min(place, len(texts) - 1)] for texts in chunk]
        columns.append(sampler.generate(texts, first).clamp(0, 1))
    return [torch.stack([column[row] for column in columns[: len(texts)]]) for row, texts in enumerate(chunk)]


def _image_path(out: Path, number: int, place: int) -> Path:
    return out / "images" / f"{number:05d}_{place}.png"


def shortened(config: MineConfig) -> list[dict[str, Any]]:
    """Convert long captions to examples by shortening them, if shortening changes them."""
    if config.captions is None:
        return []
    shorten = load_shortener(config.shorten)
    captions = [prompt.text for prompt in read_prompts(config.captions)]
    rows = [{"prompt": keep_quotes(caption, shorten(caption)), "completion": caption} for caption in captions]
    return [row for row in rows if row["prompt"] != row["completion"]]


def report(
    out: Path, counts: Mapping[str, Any], groups: Sequence[Candidates], pairs: Sequence[Mapping[str, Any]]
) -> None:
    """Write mining.json and the figure of best and worst images, and print the counts."""
    tried = [group for group in groups if group.rewrites]
    gains = [group.best.score - group.original.score for group in tried]
    means = {"best_minus_prompt": sum(gains) / len(gains) if gains else None}
    write_json(out / "mining.json", {**counts, **means})
    print(f"{counts['prompts']} prompts: {counts['pairs']} pairs, {counts['examples']} examples in {out}")
    for name, what in (("without_pair", "pair"), ("without_example", "example")):
        for reason, count in counts[name].items():
            print(f"  no {what} from {count} prompts: {reason}")
    if not pairs:
        raise UserError("no pair was found; lower --margin, raise --temperature or --candidates, or add prompts")
    clear = sorted(pairs, key=lambda row: row["rejected_score"] - row["chosen_score"])[:SHOWN]
    images = torch.stack([load_image(path) for row in clear for path in row["images"]])
    save_image(grid(images, columns=6), out / "pairs.png")
