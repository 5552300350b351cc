"""A process's shard of every batch: its images, and random numbers that do not depend on the process."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rewardkit.errors import UserError
from rewardkit.training.processes import ALONE, Processes


@dataclass(frozen=True)
class BatchShard:
    """The consecutive images of a batch that belong to this process, in whole groups of `unit`."""

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
        """Fraction of the batch: the weight of a mean over these images in the mean over all."""
        return self.count / self.batch

    def take(self, whole: Tensor, rounds: int = 1) -> Tensor:
        """This process's rows of the whole batch, or of several rounds of it one after another."""
        return whole.unflatten(0, (rounds, self.batch))[:, self.rows].flatten(0, 1)

    def own(self, draw: Callable[[int], Tensor], rounds: int = 1) -> Tensor:
        """Sample for every image of the batch and keep this process's rows, so that an image's numbers never change."""
        return self.take(draw(rounds * self.batch), rounds)

    def whole(self, own: Tensor) -> Tensor:
        """Gather the rows of all processes in the batch's order; without a graph."""
        if self.world.count == 1:
            return own
        return torch.cat([each.to(own.device) for each in self.world.gather(own.detach().cpu())])

    def mean(self, own: float) -> float:
        """Mean over the whole batch, from the means over each process's images."""
        return sum(self.world.gather(own * self.weight))

    def norms(self, own: Tensor) -> Tensor:
        """Norms of gradients over the whole batch, from gradients of means over each process's images."""
        if self.world.count == 1:
            return own
        return torch.stack(self.world.gather((own * self.weight).detach().cpu())).norm(dim=0).to(own)
