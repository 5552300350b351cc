"""Learning-rate schedules as functions of the update's number, so that a resumed run needs no state of them."""

import math
from collections.abc import Callable

from torch.optim import Optimizer

Schedule = Callable[[Optimizer, int], None]
"""Sets an optimizer's parameter groups for an update, counted from 0."""


def shares(share: Callable[[int], float]) -> Schedule:
    """Scale every group's peak learning rate by a factor."""

    def at(optimizer: Optimizer, step: int) -> None:
        for group in optimizer.param_groups:
            group["lr"] = group.setdefault("peak", group["lr"]) * share(step)

    return at


def linear(step: int, rise: int) -> float:
    """Rise linearly over the first `rise` updates to 1, then stay constant."""
    return min(1.0, (step + 1) / max(1, rise))


def cosine(step: int, total: int, rise: int) -> float:
    """Rise linearly over the first `rise` updates to 1, then fall along half a cosine to 0 at `total`."""
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))


def one_cycle(peak: float, total: int, share: float) -> Schedule:
    """Smith's one cycle (arXiv:1708.07120) with the figures of torch's `OneCycleLR`.

    The learning rate rises from `peak` / 25 over a fraction `share` of all updates and falls to a ten-thousandth of
    where it began, along half cosines; Adam's first beta falls from 0.95 to 0.85 and rises again.
    """
    top, last = share * total - 1, total - 1
    low, end = peak / 25, peak / 25 / 1e4

    def at(optimizer: Optimizer, step: int) -> None:
        if step <= top:
            way = step / top if top else 1.0
            lr, beta = _half_cosine(low, peak, way), _half_cosine(0.95, 0.85, way)
        else:
            way = (step - top) / (last - top)
            lr, beta = _half_cosine(peak, end, way), _half_cosine(0.85, 0.95, way)
        for group in optimizer.param_groups:
            group["lr"], group["betas"] = lr, (beta, *group["betas"][1:])

    return at


def _half_cosine(start: float, end: float, way: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * way))
