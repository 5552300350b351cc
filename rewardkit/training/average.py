"""A moving average of the weights that learn: steadier than the last ones where labels are noisy."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """Exponential moving average with decay `min(decay, (1 + n) / (10 + n))` after n updates; a decay of 0 is none."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.learning = {name: value for name, value in model.named_parameters() if value.requires_grad}
        self.weights = {name: value.detach().clone() for name, value in self.learning.items()}
        self.updates = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take the model's weights in."""
        keep = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        for name, value in self.learning.items():
            self.weights[name].lerp_(value, 1 - keep)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Within it the model has the averaged weights."""
        if not self.decay:
            yield
            return
        own = {name: value.detach().clone() for name, value in self.learning.items()}
        self.put(self.weights)
        try:
            yield
        finally:
            self.put(own)

    @torch.no_grad()
    def put(self, weights: Mapping[str, Tensor]) -> None:
        for name, value in self.learning.items():
            value.copy_(weights[name])

    def load(self, weights: Mapping[str, Tensor], updates: int) -> None:
        """Go on from a saved average."""
        self.updates = updates
        for name, value in weights.items():
            self.weights[name].copy_(value)
