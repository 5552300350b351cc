"""Labels for mined pairs: from stronger rewards with label noise of a given rate, or from people's votes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from rewardkit.data import PreferenceRecord, read_pairs, write_pairs
from rewardkit.errors import UserError
from rewardkit.images import load_image
from rewardkit.io.jsonl import read_objects
from rewardkit.rewards.loaded import AnyReward, score_all, score_axes
from rewardkit.rewards.protocol import applies
from rewardkit.rewards.registry import load_rewards
from rewardkit.training.device import pick_device
from rewardkit.types import PerImage, Scores


def label(
    source: Path,
    target: Path,
    labellers: Sequence[str | AnyReward],
    noise: Mapping[str, float],
    *,
    seed: int,
    device: str | torch.device = "cpu",
) -> None:
    """Label every pair on the axis of each labeller; an axis that a prompt does not ask for is a tie."""
    rows = list(read_objects(source))
    device = pick_device(device)
    rewards = load_rewards(list(labellers), device)
    axes = score_axes(rewards)
    unknown = set(noise) - set(axes.values())
    if unknown:
        raise UserError(f"--noise names {sorted(unknown)[0]!r}, which no labeller judges; they judge {', '.join(axes)}")
    generator = torch.Generator().manual_seed(seed)
    scores = [score_side(rows, side, source.parent, rewards, device) for side in ("first", "second")]
    prompts = [row["prompt"] for row in rows]
    labels = {
        axis: torch.where(
            applies(axis, prompts), draw(scores[0][name], scores[1][name], noise.get(axis, 0.0), generator), 0.5
        )
        for name, axis in axes.items()
    }
    write_pairs(target, [record(row, source.parent, labels, index) for index, row in enumerate(rows)])


def score_side(
    rows: Sequence[Mapping[str, Any]], side: str, folder: Path, rewards: Sequence[AnyReward], device: torch.device
) -> dict[str, Scores]:
    """Score the first or the second images."""
    parts: list[dict[str, Scores]] = []
    for start in range(0, len(rows), 32):
        part = rows[start : start + 32]
        images = torch.stack([load_image(folder / row[side]) for row in part]).to(device)
        parts.append(score_all(rewards, images, [row["prompt"] for row in part]))
    return {name: torch.cat([part[name].cpu() for part in parts]) for name in parts[0]}


def draw(first: Scores, second: Scores, noise: float, generator: Generator) -> PerImage:
    """1 if the first is preferred, 0 if the second is, 0.5 if they are equal."""
    difference = first.double() - second.double()
    certain = (difference > 0).float()
    chosen = torch.bernoulli(torch.sigmoid(difference / noise), generator=generator).float() if noise else certain
    return torch.where(difference.abs() < 1e-6, 0.5, chosen)


def record(row: Mapping[str, Any], folder: Path, labels: Mapping[str, Tensor], index: int) -> PreferenceRecord:
    """One labelled pair."""
    judged = {axis: float(values[index]) for axis, values in labels.items()}
    first, second = folder / row["first"], folder / row["second"]
    return PreferenceRecord(row["prompt"], first, second, judged, group=row["prompt"], source=row["source"])


def read_votes(asked: Path, votes: Path, target: Path) -> bool:
    """Use people's votes as the round's pairs; return False if there is no file of votes yet.

    Raises `UserError` for a requested pair without a vote.
    """
    if not votes.is_file():
        return False
    records = [replace(one, group=one.prompt) for one in read_pairs(votes)]
    wanted = {row["first"] for row in read_objects(asked)}
    found = {str(Path(row["first"])) for row in read_objects(votes)}
    missing = sorted(wanted - found)
    if missing:
        raise UserError(f"{votes} has no vote on {len(missing)} of {len(wanted)} pairs, such as {missing[0]}")
    write_pairs(target, records)
    return True
