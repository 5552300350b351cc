"""Scoring of image files with rewards, shared by `score`, the leaderboard and `rounds`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from rewardkit.data.image_folder import Item
from rewardkit.io.progress import Progress
from rewardkit.rewards.batches import Unreadable, batches, score_batch
from rewardkit.rewards.loaded import AnyReward, LoadedReward, loaded, score_axes
from rewardkit.rewards.protocol import applies
from rewardkit.training.device import pick_device


@dataclass(frozen=True)
class Scored:
    """One image's scores, without those that do not apply to its prompt (text, if none is requested)."""

    item: Item
    scores: Mapping[str, float]
    error: str = ""
    """Why the image could not be scored; None if it was."""


@torch.no_grad()
def score_items(
    items: Sequence[Item],
    rewards: Sequence[AnyReward],
    *,
    batch_size: int = 16,
    device: str | torch.device = "cpu",
    label: str = "scoring",
) -> list[Scored]:
    """Score items in batches, one row per item in order; an unreadable image yields a row with its error."""
    judges, device = [loaded(reward) for reward in rewards], pick_device(device)
    prompts = [item.prompt for item in items]
    score_axes(judges)  # no two of a name
    gates = {name: mask.tolist() for reward in judges for name, mask in reward.gates(prompts).items()}
    say_left_out(judges, prompts)
    rows: dict[int, Scored] = {}
    with Progress(label, len(items)) as bar:
        for batch in batches([item.path for item in items], judges, batch_size):
            if isinstance(batch, Unreadable):
                rows[batch.row] = Scored(items[batch.row], {}, batch.error)
                bar.update()
                continue
            scores = score_batch(judges, batch, [items[row].prompt for row in batch.rows], device)
            columns = {name: value.tolist() for name, value in scores.items()}
            for place, row in enumerate(batch.rows):
                rows[row] = Scored(items[row], {name: columns[name][place] for name in columns if gates[name][row]})
            bar.update(len(batch.rows))
    return [rows[row] for row in range(len(items))]


def say_left_out(rewards: Sequence[LoadedReward], prompts: Sequence[str]) -> None:
    """Count the images whose prompt a reward cannot score, one line a score."""
    for reward in rewards:
        for name, mask in reward.gates(prompts).items():
            left = (applies(reward.axes[name], prompts) & ~mask).nonzero().flatten().tolist()
            if left:
                print(f"{name}: {len(left)} images left out: their text cannot be read, such as {prompts[left[0]]!r}")
