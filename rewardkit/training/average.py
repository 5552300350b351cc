"""A moving average of the trained weights, which is more stable than the last weights under noisy labels or rewards."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn


@runtime_checkable
class Rule(Protocol):
    """How an average is updated: diffusers' `EMAModel`, or `Lerp`."""

    shadow_params: list[Any]
    """The averages, one per parameter."""
    optimization_step: int
    """Number of updates."""

    def step(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add the weights after one more update."""
        ...


class Lerp:
    """Exponential moving average with decay `min(decay, (1 + n) / (10 + n))` after n updates.

    diffusers' `EMAModel` has the same decays except the first: it forgets the initial weights at once, while this keeps
    a tenth of them. It also rounds differently, and importing diffusers takes longer than training a small model.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float) -> None:
        self.decay = decay
        self.shadow_params = [value.detach().clone() for value in parameters]
        self.optimization_step = 0

    @torch.no_grad()
    def step(self, parameters: Iterable[nn.Parameter]) -> None:
        keep = min(self.decay, (1 + self.optimization_step) / (10 + self.optimization_step))
        self.optimization_step += 1
        for average, value in zip(self.shadow_params, parameters, strict=True):
            average.lerp_(value, 1 - keep)


class Average:
    """The averages of named parameters, to be swapped with their weights and saved."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], rule: Rule) -> None:
        self.parameters, self.rule = parameters, rule

    @property
    def weights(self) -> dict[str, Tensor]:
        return dict(zip(self.parameters, self.rule.shadow_params, strict=True))

    def update(self) -> None:
        """Update the averages with the parameters."""
        self.rule.step(self.parameters.values())

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Context in which the parameters have the averaged values."""
        own = {name: value.detach().clone() for name, value in self.parameters.items()}
        put(self.parameters, self.weights)
        try:
            yield
        finally:
            put(self.parameters, own)

    def load(self, weights: Mapping[str, Tensor], updates: int) -> None:
        """Restore saved averages after a number of updates."""
        self.rule.optimization_step = updates
        for name, average in self.weights.items():
            average.copy_(weights[name])


@torch.no_grad()
def put(parameters: Mapping[str, nn.Parameter], weights: Mapping[str, Tensor]) -> None:
    """Copy weights into parameters by name; others are unchanged."""
    for name, value in weights.items():
        parameters[name].copy_(value)
