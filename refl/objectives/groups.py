"""Images of one prompt beside each other, for objectives that compare rewards and differentiate none."""

from collections.abc import Mapping, Sequence

import torch

from rewardkit.rewards.panel import Panel
from rewardkit.types import PerImage, Scores


def rewards(panel: Panel, raw: Mapping[str, Scores], prompts: Sequence[str]) -> Scores:
    """The panel's loss of each image alone, negated: weights, gates and targets count as they do everywhere."""
    alone = ({name: value[i : i + 1] for name, value in raw.items()} for i in range(len(prompts)))
    return -torch.stack([panel.loss(each, [prompt]) for each, prompt in zip(alone, prompts, strict=True)])


def advantages(rewards: Scores, group: int) -> PerImage:
    """How far each image stands above the mean of its prompt's, in standard deviations over the whole batch."""
    centred = rewards.view(-1, group) - rewards.view(-1, group).mean(1, keepdim=True)
    return (centred / centred.std().clamp_min(1e-6)).flatten()
