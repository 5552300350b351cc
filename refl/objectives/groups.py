"""Groups of images of one prompt, for objectives that compare rewards instead of differentiating them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from refl.objectives.chain import bounds
from refl.objectives.objective import Objective
from rewardkit.errors import UserError
from rewardkit.rewards.panel import Panel
from rewardkit.types import PerImage, Scores


@dataclass(frozen=True, kw_only=True)
class ComparingObjective(Objective):
    """An objective that compares the images of a prompt, which are consecutive; rewards need no gradient."""

    differentiates: ClassVar[bool] = False

    window: tuple[float, float] = (0.0, 1.0)
    """Range of the steps, as fractions of the chain."""
    group: int = 4
    """Images of each prompt."""

    @property
    def copies(self) -> int:
        return self.group

    def check(self, steps: int, batch_size: int, tune_text: bool) -> None:
        bounds(steps, self.window)
        if self.group < 2 or batch_size % self.group:
            raise UserError(
                f"group must be 2 or more and divide the batch of {batch_size}; got {self.group}; "
                "this objective compares images of one prompt"
            )


def rewards(panel: Panel, raw: Mapping[str, Scores], prompts: Sequence[str]) -> Scores:
    """The negative panel loss of each image: weights, gates and targets count as everywhere else."""
    alone = ({name: value[i : i + 1] for name, value in raw.items()} for i in range(len(prompts)))
    return -torch.stack([panel.loss(each, [prompt]) for each, prompt in zip(alone, prompts, strict=True)])


def advantages(rewards: Scores, group: int) -> PerImage:
    """Advantage of each image over the mean of its prompt, in standard deviations over the whole batch."""
    centred = rewards.view(-1, group) - rewards.view(-1, group).mean(1, keepdim=True)
    return (centred / centred.std().clamp_min(1e-6)).flatten()
