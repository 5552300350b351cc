"""Which rows an update uses: every epoch visits all rows in a new random order."""

from collections.abc import Callable

import torch


def batch(step: int, size: int, count: int, generator: Callable[[int], torch.Generator]) -> list[int]:
    """Indices of update `step`: every epoch visits all `count` prompts in a new random order.

    Depends only on the step, so that a resumed run uses the same rows as an uninterrupted run.
    """
    orders: dict[int, list[int]] = {}
    chosen = []
    for position in range(step * size, (step + 1) * size):
        epoch, place = divmod(position, count)
        if epoch not in orders:
            orders[epoch] = torch.randperm(count, generator=generator(epoch)).tolist()
        chosen.append(orders[epoch][place])
    return chosen
