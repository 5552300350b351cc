"""What an objective is: the loss of one update, and what the rest of a run must know of it."""

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
    """What an objective gets for one update."""

    chain: Chain
    prompts: Sequence[str]
    """One an image."""
    decode: Callable[[Latents], Images]
    panel: Panel
    denoiser: nn.Module
    augment: Callable[[Images], Images] = lambda images: images
    """Small random changes of an image before it is scored."""
    averaged: Callable[[], AbstractContextManager[None]] = nullcontext
    """Within it the denoiser has the moving average of its weights."""


@dataclass(frozen=True)
class Outcome:
    """What one batch said."""

    loss: Scalar
    raw: Mapping[str, Scores]
    """Raw rewards, one a prompt."""
    kl: Scalar
    """Mean squared distance to the base's velocity where the graph is."""


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
        """Raise `UserError` where an update of `batch_size` images, each of `steps` sampling steps, cannot be made."""

    @abstractmethod
    def passes(self, steps: int) -> int:
        """Passes of the denoiser with a graph in one update, the most there can be; `plan` counts with it."""

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
    """Make the objective that is asked for; an option that is not given, or has no field there, changes nothing."""
    module, _, name = TABLE[options.objective].partition(":")
    kind: type[Objective] = getattr(import_module(module), name)
    given = {field.name: getattr(options, field.name, None) for field in fields(kind)}
    return kind(**{name: value for name, value in given.items() if value is not None})


def of_all(outcome: Outcome, share: BatchShard) -> Outcome:
    """What the whole batch said, from what each process's share of it did; the loss has no graph then."""
    loss, kl = (outcome.loss.new_tensor(share.mean(value.item())) for value in (outcome.loss, outcome.kl))
    return Outcome(loss, {name: share.whole(value) for name, value in outcome.raw.items()}, kl)
