"""Descend the rewards through the image: decode an objective's estimate, score it, and keep near the base."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from refl.objectives.balance import balanced
from refl.objectives.chain import Chain, Estimator, distance
from rewardkit.rewards.panel import Panel
from rewardkit.training.batch_shard import BatchShard
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
    repeated = list(prompts) * rounds
    images = augment(decode(estimate.latents))
    raw = panel.raw(images, repeated)
    loss = balanced(panel, raw, repeated, images, chain.part) if balance else panel.loss(raw, repeated)
    if not kl:
        return Outcome(loss, averaged(raw, rounds), loss.new_zeros(()))
    apart = distance(estimate.graph_steps, chain.own or chain.window, denoiser)
    return Outcome(loss + kl * apart.to(loss), averaged(raw, rounds), apart.detach())


def of_all(outcome: Outcome, share: BatchShard) -> Outcome:
    """What the whole batch said, from what each process's share of it did; the loss has no graph then."""
    loss, kl = (outcome.loss.new_tensor(share.mean(value.item())) for value in (outcome.loss, outcome.kl))
    return Outcome(loss, {name: share.whole(value) for name, value in outcome.raw.items()}, kl)


def averaged(raw: dict[str, Scores], rounds: int) -> dict[str, Tensor]:
    """Mean over the rounds of a batch; one a prompt again."""
    return {name: torch.stack(value.chunk(rounds)).mean(0) for name, value in raw.items()}
