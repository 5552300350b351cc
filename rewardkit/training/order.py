"""Which rows an update sees: every epoch goes through all of them in an order of its own."""

from collections.abc import Callable

import torch


def batch(step: int, size: int, count: int, generator: Callable[[int], torch.Generator]) -> list[int]:
    """Indices of update `step`: every epoch goes through all `count` prompts in an order of its own.

    Depends on the step alone, so that a resumed run sees what an uninterrupted one would.
    """
    orders: dict[int, list[int]] = {}
    chosen = []
    for position in range(step * size, (step + 1) * size):
        epoch, place = divmod(position, count)
        if epoch not in orders:
            orders[epoch] = torch.randperm(count, generator=generator(epoch)).tolist()
        chosen.append(orders[epoch][place])
    return chosen
