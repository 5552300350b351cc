"""The objective interface: the loss of one update, and what the rest of a run needs to know."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from importlib import import_module
from typing import ClassVar

from torch import nn

from refl.objectives.chain import Chain, GradStep, distance
from refl.objectives.table import TABLE, Method
from rewardkit.rewards.panel import Panel
from rewardkit.training.batch_shard import BatchShard
from rewardkit.types import Images, Latents, Scalar, Scores


@dataclass(frozen=True)
class Batch:
    """The input of an objective for one update."""

    chain: Chain
    prompts: Sequence[str]
    """One per image."""
    decode: Callable[[Latents], Images]
    panel: Panel
    denoiser: nn.Module
    augment: Callable[[Images], Images] = lambda images: images
    """Small random augmentation of an image before it is scored."""
    averaged: Callable[[], AbstractContextManager[None]] = nullcontext
    """Context in which the denoiser has the moving average of its weights."""


@dataclass(frozen=True)
class Outcome:
    """The result of one batch."""

    loss: Scalar
    raw: Mapping[str, Scores]
    """Raw rewards, one per prompt."""
    kl: Scalar
    """Mean squared distance to the base's velocity at the steps with a graph."""


@dataclass(frozen=True, kw_only=True)
class Objective(ABC):
    """A way to learn from rewards; its fields are the options of the same name in `Method`, with its own defaults."""

    differentiates: ClassVar[bool]
    """Whether it needs rewards with a gradient."""

    kl: float = 1.0
    """Weight of the squared distance to the base's velocity."""

    @property
    def copies(self) -> int:
        """Images of each prompt in a batch, next to each other."""
        return 1

    @abstractmethod
    def check(self, steps: int, batch_size: int, tune_text: bool) -> None:
        """Raise `UserError` if no update of `batch_size` images with `steps` sampling steps is possible."""

    @abstractmethod
    def passes(self, steps: int) -> int:
        """Maximum number of denoiser passes with a graph in one update, used by `plan`."""

    @abstractmethod
    def loss(self, batch: Batch) -> Outcome:
        """Loss of one batch, with a graph to the adapter's weights."""

    def near_base(
        self, loss: Scalar, raw: Mapping[str, Scores], graph_steps: Sequence[GradStep], batch: Batch
    ) -> Outcome:
        """Add the weighted distance to the base's velocity at the steps with a graph."""
        if not self.kl:
            return Outcome(loss, raw, loss.new_zeros(()))
        apart = distance(graph_steps, batch.chain.own or batch.chain.window, batch.denoiser)
        return Outcome(loss + self.kl * apart.to(loss), raw, apart.detach())


def new_objective(options: Method) -> Objective:
    """Build the chosen objective; options that are not given, or that it does not have, are ignored."""
    module, _, name = TABLE[options.objective].partition(":")
    kind: type[Objective] = getattr(import_module(module), name)
    given = {field.name: getattr(options, field.name, None) for field in fields(kind)}
    return kind(**{name: value for name, value in given.items() if value is not None})


def of_all(outcome: Outcome, share: BatchShard) -> Outcome:
    """The result of the whole batch, from the shards of all processes; the loss then has no graph."""
    loss, kl = (outcome.loss.new_tensor(share.mean(value.item())) for value in (outcome.loss, outcome.kl))
    return Outcome(loss, {name: share.whole(value) for name, value in outcome.raw.items()}, kl)
