"""Measurements of the demo with the gold judges, which training does not use."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rewardkit.errors import UserError
from rewardkit.images import load_image
from rewardkit.io.jsonl import read_objects, write_rows
from rewardkit.prompts import quoted, read_prompts
from rewardkit.rewards.loaded import score_all
from rewardkit.rewards.protocol import AXES, applies
from rewardkit.rewards.registry import load_rewards
from rewardkit.stats import Estimate, paired_difference

JUDGES = {axis: f"posters-{axis}" for axis in AXES}


def before_and_after(leaderboard: Path) -> dict[str, dict[str, float]]:
    """Read each gold judge's figures of the first entry, the second and the difference from a leaderboard of two."""
    rankings = {ranking["score"]["name"]: ranking for ranking in json.loads(leaderboard.read_text())["rankings"]}
    figures = {}
    for axis, name in JUDGES.items():
        before, after = rankings[name]["standings"]
        figures[axis] = {"before": before["mean"]["value"], "after": after["mean"]["value"]} | difference(
            Estimate(**after["difference"])
        )
    return figures


def difference(estimate: Estimate) -> dict[str, float]:
    """Convert a paired difference to plain numbers."""
    figures = asdict(estimate)
    return {"diff": figures["value"], "low": figures["low"], "high": figures["high"], "n": figures["n"]}


def write_short_prompts(source: Path, target: Path, count: int) -> None:
    """Take the first prompts of a file as held-out prompts."""
    prompts = [prompt.text for prompt in read_prompts(source)][:count]
    write_prompts(target, prompts)


def read_rewrites(source: Path, target: Path) -> None:
    """Convert rewrites (one {prompt, rewrite} per line) to a file of prompts in the same order."""
    write_prompts(target, [row["rewrite"] for row in read_objects(source)])


def write_prompts(path: Path, prompts: Sequence[str]) -> None:
    write_rows(path, [{"prompt": prompt} for prompt in prompts])


def rewriting(out: Path, typed: Path, rewritten: Path) -> dict[str, Any]:
    """Compare images of prompts as typed and as rewritten, both judged against the prompts as typed.

    The gold score of an image is the mean of the axes that its prompt asks for; `axes` has the single axes.
    """
    prompts, rewrites = ([prompt.text for prompt in read_prompts(path)] for path in (typed, rewritten))
    if len(prompts) != len(rewrites):
        raise UserError(f"{typed} has {len(prompts)} prompts and {rewritten} {len(rewrites)}; run the step again")
    before, after = (gold(out / folder, prompts) for folder in ("as-typed", "as-rewritten"))
    kept = [quoted(prompt) == quoted(rewrite) for prompt, rewrite in zip(prompts, rewrites, strict=True)]
    axes = {axis: compare(before[axis], after[axis]) for axis in AXES}
    mean = compare(*(torch.stack(list(scores.values())).nanmean(0) for scores in (before, after)))
    return {"gold": mean, "axes": axes, "quotes_kept": sum(kept) / len(kept)}


def gold(folder: Path, prompts: Sequence[str]) -> dict[str, Tensor]:
    """Score the images 00000.png, ... of a folder on every axis; NaN where a prompt does not ask for the axis."""
    images = torch.stack([load_image(folder / f"{index:05d}.png") for index in range(len(prompts))])
    scores = score_all(load_rewards(list(JUDGES.values())), images, prompts)
    return {axis: scores[JUDGES[axis]].where(applies(axis, prompts), torch.nan).double() for axis in AXES}


def compare(before: Tensor, after: Tensor) -> dict[str, float]:
    """Means and their paired difference over the prompts that are judged."""
    judged = ~before.isnan()
    estimate = paired_difference(before[judged].numpy(), after[judged].numpy())
    means = {"before": before[judged].mean().item(), "after": after[judged].mean().item()}
    return means | difference(estimate)
