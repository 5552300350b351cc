"""A process's part of every batch: its own images, and random numbers that do not depend on who draws them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rewardkit.errors import UserError
from rewardkit.training.processes import ALONE, Processes


@dataclass(frozen=True)
class BatchShard:
    """The images of a batch that are this process's: neighbours, in whole groups of `unit`."""

    batch: int
    """Images of the whole batch, over all processes."""
    unit: int = 1
    world: Processes = ALONE

    def __post_init__(self) -> None:
        if self.world.count > self.batch // self.unit:
            groups = f" in groups of {self.unit}" if self.unit > 1 else ""
            raise UserError(
                f"batch_size {self.batch}{groups} is too small for {self.world.count} processes; "
                "raise it, or start fewer"
            )

    @property
    def rows(self) -> slice:
        groups = self.world.share(range(self.batch // self.unit))
        return slice(groups[0] * self.unit, (groups[-1] + 1) * self.unit)

    @property
    def count(self) -> int:
        return self.rows.stop - self.rows.start

    @property
    def weight(self) -> float:
        """Share of the batch: what a mean over these images counts in the mean over all."""
        return self.count / self.batch

    def take(self, whole: Tensor, rounds: int = 1) -> Tensor:
        """Own rows of the whole batch, or of several rounds of it one after another."""
        return whole.unflatten(0, (rounds, self.batch))[:, self.rows].flatten(0, 1)

    def own(self, draw: Callable[[int], Tensor], rounds: int = 1) -> Tensor:
        """Draw for every image of the batch and keep one's own: an image's numbers are then always the same."""
        return self.take(draw(rounds * self.batch), rounds)

    def whole(self, own: Tensor) -> Tensor:
        """Put the processes' rows together, in the batch's order; without a graph."""
        if self.world.count == 1:
            return own
        return torch.cat([each.to(own.device) for each in self.world.gather(own.detach().cpu())])

    def mean(self, own: float) -> float:
        """Mean over the whole batch of what is a mean over each process's images."""
        return sum(self.world.gather(own * self.weight))

    def norms(self, own: Tensor) -> Tensor:
        """Norms of gradients over the whole batch, from those of means over each process's images."""
        if self.world.count == 1:
            return own
        return torch.stack(self.world.gather((own * self.weight).detach().cpu())).norm(dim=0).to(own)
