"""Descend the rewards through the image: decode an objective's estimate, score it, and stay near the base."""

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
    """An objective that differentiates the rewards: a way to an estimate of the image that has a graph."""

    differentiates: ClassVar[bool] = True

    balance: bool = False
    """Give every reward a gradient of equal norm at the pixels, times its weight."""

    @abstractmethod
    def estimate(self, chain: Chain) -> Estimate:
        """Estimate the images of a batch; the graph holds `passes` passes of the denoiser at most."""

    def loss(self, batch: Batch) -> Outcome:
        """Loss of one batch; its graph holds the passes of the estimate, the decoder and the rewards."""
        estimate = self.estimate(batch.chain)
        rounds = len(estimate.latents) // len(batch.prompts)
        prompts = list(batch.prompts) * rounds
        images = batch.augment(batch.decode(estimate.latents))
        panel, raw = batch.panel, batch.panel.raw(images, prompts)
        loss = balanced(panel, raw, prompts, images, batch.chain.part) if self.balance else panel.loss(raw, prompts)
        return self.near_base(loss, averaged(raw, rounds), estimate.graph_steps, batch)


def averaged(raw: dict[str, Scores], rounds: int) -> dict[str, Tensor]:
    """Mean over the rounds of a batch; one a prompt again."""
    return {name: torch.stack(value.chunk(rounds)).mean(0) for name, value in raw.items()}
