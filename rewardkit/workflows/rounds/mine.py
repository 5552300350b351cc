"""Choose pairs to label: the prompts with the worst images, and as many random prompts.

With only the worst, a reward model would forget what is already right.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from rewardkit.data.image_folder import ImageFolder, read_image_folder
from rewardkit.io.jsonl import write_rows
from rewardkit.rewards.loaded import LoadedReward
from rewardkit.rewards.panel import Panel
from rewardkit.rewards.scoring import Scored, score_items


def mine(
    folders: Sequence[Path], reward: LoadedReward, target: Path, *, count: int, seed: int, device: str = "cpu"
) -> None:
    """Write `count` pairs to label: prompt, first, second, and why the prompt was chosen (`worst` or `random`).

    `folders` are two folders of images of the same prompts.
    """
    first, second = (read_image_folder(folder) for folder in folders)
    quality = torch.stack([totals(folder, reward, device) for folder in (first, second)]).amax(0)
    worst, others = worst_and_random(quality, count, torch.Generator().manual_seed(seed))
    rows = [
        {
            "prompt": first.items[index].prompt,
            "first": os.path.relpath(first.items[index].path, target.parent),
            "second": os.path.relpath(second.items[index].path, target.parent),
            "source": why,
        }
        for why, chosen in (("worst", worst), ("random", others))
        for index in chosen
    ]
    write_rows(target, rows)


def totals(folder: ImageFolder, reward: LoadedReward, device: str) -> Tensor:
    """Mean z-score of every image over the axes that its prompt asks for."""
    rows: Sequence[Scored] = score_items(folder.items, [reward], batch_size=32, device=device)
    panel = Panel([reward])
    prompts = [row.item.prompt for row in rows]
    raw = {name: torch.tensor([row.scores.get(name, 0.0) for row in rows]) for name in panel.axes}
    return panel.fit(raw, prompts).total(raw, prompts)


def worst_and_random(quality: Tensor, count: int, generator: torch.Generator) -> tuple[list[int], list[int]]:
    """Indices of the `count // 2` lowest, and of random others for the rest of `count`."""
    order = quality.argsort(stable=True)
    worst, rest = order[: count // 2], order[count // 2 :]
    others = rest[torch.randperm(len(rest), generator=generator)[: count - len(worst)]]
    return worst.tolist(), others.tolist()
