"""`rewardkit eval-rm`: the pairwise accuracy of reward models, with its interval, n and tie rule."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from rewardkit.errors import UserError
from rewardkit.images import load_image
from rewardkit.pairs import PreferenceRecord, Skipped, axes_of, read_pairs, read_rows, write_json
from rewardkit.posters.preferences import TEMPERATURE
from rewardkit.progress import Progress
from rewardkit.types import PerImage, Scores
from rm.accuracy import TIE_RULES, TieRule, accuracy, bayes_ceiling
from rm.model import RewardModel


@dataclass(frozen=True)
class EvalRmConfig:
    """Measure how often a reward model prefers the image that was preferred."""

    model: Path
    """Folder of a reward model."""
    data: tuple[Path, ...]
    """Files of pairs that were not trained on."""
    axes: tuple[str, ...] = ()
    """Axes to measure; all that both the model and the pairs have when empty."""
    ties: TieRule = "ties-excluded"
    """ties-excluded: left out; ties-half: count half; strict: right only at equal scores."""
    gold: Path | None = None
    """Gold scores of the pairs (.jsonl, AXIS: [first, second]), for the best accuracy that noisy labels allow."""
    temperature: dict[str, float] = field(default_factory=lambda: dict(TEMPERATURE))
    """By axis, the noise of the labels: P(first) = sigmoid((gold of first - gold of second) / temperature)."""
    out: Path | None = None
    """JSON file for the figures."""
    batch_size: int = 64
    """Images a forward pass."""
    max_bad: float = 0.0
    """Share of pairs with an unreadable image to put up with."""
    device: str = "cpu"
    """Where to compute: cpu, cuda, mps."""


def evaluate(config: EvalRmConfig) -> None:
    """Print the accuracy of every axis on pairs, and beside it the Bayes ceiling when gold scores are given."""
    model = RewardModel.load(config.model, config.device)
    records = [r for path in config.data for r in read_pairs(path, config.axes[0] if len(config.axes) == 1 else None)]
    axes = measured_axes(config.axes, model, records)
    ceilings = read_ceilings(config.gold, records, axes, config.temperature) if config.gold else {}
    scores, kept = score_pairs(model, records, config)
    figures: dict[str, dict[str, Any]] = {}
    for axis in axes:
        labels = labels_of(kept, axis)
        figures[axis] = asdict(accuracy(*scores[axis], labels, config.ties)) | ceilings.get(axis, {})
        print(line(axis, figures[axis]))
    print(f"tie rule: {config.ties} ({TIE_RULES[config.ties]})")
    if config.out:
        result = {"model": str(config.model), "data": [str(p) for p in config.data], "tie_rule": config.ties}
        write_json(config.out, result | {"axes": figures})


def line(axis: str, figure: dict[str, Any]) -> str:
    """Say one figure in a line."""
    text = f"{axis}: {figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}], n = {figure['n']}"
    if "ceiling" in figure:
        text += f"; ceiling {figure['ceiling']:.3f}, {figure['value'] / figure['ceiling']:.3f} of it"
    return text


def measured_axes(wanted: Sequence[str], model: RewardModel, records: Sequence[PreferenceRecord]) -> tuple[str, ...]:
    """The axes that model and pairs share; raise `UserError` for a wanted one that either lacks, or for none."""
    judged = axes_of(records)
    for axis in wanted:
        if axis not in model.axes or axis not in judged:
            raise UserError(
                f"axis {axis!r}: the model has {', '.join(model.axes)}; the pairs judge {', '.join(judged)}"
            )
    axes = tuple(wanted) or tuple(axis for axis in model.axes if axis in judged)
    if not axes:
        raise UserError(f"no axis in common: model has {', '.join(model.axes)}; pairs, {', '.join(judged)}")
    return axes


def labels_of(records: Sequence[PreferenceRecord], axis: str) -> PerImage:
    return torch.tensor([record.label.get(axis, float("nan")) for record in records], dtype=torch.float64)


@torch.no_grad()
def score_pairs(
    model: RewardModel, records: Sequence[PreferenceRecord], config: EvalRmConfig
) -> tuple[dict[str, tuple[Scores, Scores]], list[PreferenceRecord]]:
    """Score both images of every pair, and give the pairs whose images could be read.

    Images of a size go through the encoder together; what is read is scored at once and let go.
    """
    queue: dict[tuple[int, ...], list[tuple[int, torch.Tensor]]] = {}
    found: dict[int, dict[str, float]] = {}
    skipped = Skipped(seen=len(records))
    bad: set[int] = set()

    def flush(size: tuple[int, ...]) -> None:
        items = queue.pop(size)
        images = torch.stack([image for _, image in items]).to(config.device)
        scores = model.scores(images, [records[index // 2].prompt for index, _ in items])
        for place, (index, _) in enumerate(items):
            found[index] = {axis: float(values[place]) for axis, values in scores.items()}

    with Progress("eval-rm", len(records)) as bar:
        for pair, record in enumerate(records):
            try:
                images = load_image(record.first), load_image(record.second)
            except UserError as error:
                skipped.add("bad image in a pair", str(error))
                bad.add(pair)
                continue
            for side, image in enumerate(images):
                queue.setdefault(tuple(image.shape), []).append((2 * pair + side, image))
            for size in [size for size, items in queue.items() if len(items) >= config.batch_size]:
                flush(size)
            bar.update()
    skipped.enforce(config.max_bad)
    if skipped.count:
        print(skipped.summary())
    for size in list(queue):
        flush(size)
    kept = [pair for pair in range(len(records)) if pair not in bad]
    scores = {
        axis: (column(found, axis, [2 * p for p in kept]), column(found, axis, [2 * p + 1 for p in kept]))
        for axis in model.axes
    }
    return scores, [records[pair] for pair in kept]


def column(found: dict[int, dict[str, float]], axis: str, places: Sequence[int]) -> Scores:
    return torch.tensor([found[place][axis] for place in places], dtype=torch.float64)


def read_ceilings(
    path: Path, records: Sequence[PreferenceRecord], axes: Sequence[str], temperature: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """Work out the Bayes ceiling of every axis, over the pairs that are no tie, from the gold scores of the pairs."""
    rows = list(read_rows(path))
    if len(rows) != len(records):
        raise UserError(f"{path} has {len(rows)} rows for {len(records)} pairs; it needs one a pair, in the same order")
    ceilings = {}
    for axis in axes:
        chosen = [row for row, record in zip(rows, records, strict=True) if record.label.get(axis, 0.5) != 0.5]
        if axis not in temperature:
            raise UserError(f"--gold needs the temperature of {axis}, like: --temperature {axis} 0.1")
        if any(axis not in row for row in chosen):
            raise UserError(f"{path} has no gold scores of {axis}; a row has AXIS: [first, second]")
        if chosen:
            first, second = torch.tensor([row[axis] for row in chosen], dtype=torch.float64).unbind(1)
            ceilings[axis] = {"ceiling": bayes_ceiling(first, second, temperature[axis])}
    return ceilings
