"""Back-propagate rewards through the image: decode an objective's estimate, score it, and add the KL penalty."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from refl.objectives.balance import balanced
from refl.objectives.chain import Chain, Estimate
from refl.objectives.objective import Batch, Objective, Outcome
from rewardkit.types import Scores


@dataclass(frozen=True, kw_only=True)
class GradientObjective(Objective):
    """An objective that differentiates the rewards, by an estimate of the image with a graph."""

    differentiates: ClassVar[bool] = True

    balance: bool = False
    """Scale every reward's gradient at the pixels to the same norm, times its weight."""

    @abstractmethod
    def estimate(self, chain: Chain) -> Estimate:
        """Estimate the images of a batch; the graph has at most `passes` passes of the denoiser."""

    def loss(self, batch: Batch) -> Outcome:
        """Loss of one batch; its graph has the passes of the estimate, the decoder and the rewards."""
        estimate = self.estimate(batch.chain)
        rounds = len(estimate.latents) // len(batch.prompts)
        prompts = list(batch.prompts) * rounds
        images = batch.augment(batch.decode(estimate.latents))
        panel, raw = batch.panel, batch.panel.raw(images, prompts)
        loss = balanced(panel, raw, prompts, images, batch.chain.part) if self.balance else panel.loss(raw, prompts)
        return self.near_base(loss, averaged(raw, rounds), estimate.graph_steps, batch)


def averaged(raw: dict[str, Scores], rounds: int) -> dict[str, Tensor]:
    """Mean over the rounds of a batch: one value per prompt."""
    return {name: torch.stack(value.chunk(rounds)).mean(0) for name, value in raw.items()}
