"""Descend the rewards through the image: decode an objective's estimate, score it, and keep near the base."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from refl.balance import balanced
from refl.chain import Chain, Estimator, distance
from rewardkit.reward import Panel
from rewardkit.types import Images, Latents, Scalar, Scores


@dataclass(frozen=True)
class Outcome:
    """What one batch said."""

    loss: Scalar
    raw: dict[str, Scores]
    """Raw rewards, one a prompt."""
    kl: Scalar
    """Mean squared distance to the base's velocity where the graph is."""


def backpropagate(
    chain: Chain, estimator: Estimator, decode: Callable[[Latents], Images], panel: Panel, prompts: Sequence[str], *,
    denoiser: nn.Module, kl: float = 0.0, balance: bool = False,
    augment: Callable[[Images], Images] = lambda images: images,
) -> Outcome:  # fmt: skip
    """Loss of one batch; its graph holds the passes that the objective visits, the decoder and the rewards."""
    estimate = estimator(chain)
    rounds = len(estimate.latents) // len(prompts)
    told = list(prompts) * rounds
    images = augment(decode(estimate.latents))
    raw = panel.raw(images, told)
    loss = balanced(panel, raw, told, images) if balance else panel.loss(raw, told)
    if not kl:
        return Outcome(loss, averaged(raw, rounds), loss.new_zeros(()))
    apart = distance(estimate.visits, chain.own or chain.window, denoiser)
    return Outcome(loss + kl * apart.to(loss), averaged(raw, rounds), apart.detach())


def averaged(raw: dict[str, Scores], rounds: int) -> dict[str, Tensor]:
    """Mean over the rounds of a batch; one a prompt again."""
    return {name: torch.stack(value.chunk(rounds)).mean(0) for name, value in raw.items()}
