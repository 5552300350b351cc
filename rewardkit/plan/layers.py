"""Measure a few layers of a deep network and extrapolate the account to all of them.

Layers of one kind do the same work on the same shapes, so bytes, FLOPs and peaks are affine in their number: the
slope is the account with one more layer minus the account without it. The rest of the network runs unchanged.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn

from rewardkit.plan.dry import Account

Accounts = Mapping[str, Account]


@dataclass(frozen=True)
class Kind:
    """Consecutive identical layers of one list."""

    stack: str
    layers: tuple[nn.Module, ...]


def kinds(network: nn.Module) -> list[Kind]:
    """Group the layers in the network's module lists by kind, in order."""
    found: list[Kind] = []
    for name, stack in network.named_children():
        if not isinstance(stack, nn.ModuleList):
            continue
        runs: list[list[nn.Module]] = []
        for layer in stack:
            if runs and signature(runs[-1][0]) == signature(layer):
                runs[-1].append(layer)
            else:
                runs.append([layer])
        found += [Kind(name, tuple(run)) for run in runs]
    return found


def signature(layer: nn.Module) -> tuple[object, ...]:
    """What makes two layers identical: class, and names and shapes of the weights."""
    return (type(layer), *((name, weight.shape) for name, weight in layer.named_parameters()))


def measured(network: nn.Module, run: Callable[[], Accounts]) -> dict[str, Account]:
    """Account `run` for the whole network while it has at most one or two layers of each kind."""
    all_kinds = kinds(network)
    ones = [1] * len(all_kinds)
    with cut(network, all_kinds, ones):
        once = run()
    total = {name: scaled(account, 1) for name, account in once.items()}
    for index, kind in enumerate(all_kinds):
        if len(kind.layers) == 1:
            continue
        with cut(network, all_kinds, [1 + (place == index) for place in range(len(ones))]):
            twice = run()
        for name, account in twice.items():
            add(total[name], account, len(kind.layers) - 1)
            add(total[name], once[name], 1 - len(kind.layers))
    return total


@contextmanager
def cut(network: nn.Module, all_kinds: Sequence[Kind], counts: Sequence[int]) -> Iterator[None]:
    """Temporarily keep this many layers of each kind in the network."""
    stacks = {kind.stack: network.get_submodule(kind.stack) for kind in all_kinds}
    try:
        for name in stacks:
            kept = [kind.layers[:count] for kind, count in zip(all_kinds, counts, strict=True) if kind.stack == name]
            setattr(network, name, nn.ModuleList([layer for layers in kept for layer in layers]))
        yield
    finally:
        for name, stack in stacks.items():
            setattr(network, name, stack)


def scaled(account: Account, factor: int) -> Account:
    """A copy multiplied by a factor."""
    empty = Account()
    add(empty, account, factor)
    return empty


def add(total: Account, other: Account, factor: int) -> None:
    """Add `factor` times another account."""
    total.resident += factor * other.resident
    total.peak += factor * other.peak
    total.traffic += factor * other.traffic
    for kind, flops in other.flops.items():
        total.flops[kind] += factor * flops
