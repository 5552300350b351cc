"""Several processes on one job, started by `accelerate launch` or `torchrun`; alone, every call here does nothing.

Every process holds the whole model, works on its share of a batch and adds its gradients to those of the others after
the backward pass. No wrapper stands around the model, so a step may call any of its methods. Parameters that
learn must be whole on every process: sharded ones (FSDP) reduce their gradients themselves.
"""

import atexit
import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from safetensors.torch import save
from torch import Tensor, distributed, nn

from rewardkit.training.device import pick_device

T = TypeVar("T")

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Processes:
    """This process among its like."""

    rank: int = 0
    count: int = 1
    device: torch.device = CPU
    local_world_size: int = 1
    """Processes on this machine."""

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes and prints."""
        return self.rank == 0

    @property
    def machine(self) -> int:
        return self.rank // self.local_world_size

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's part of a list: a run of neighbours, as long as the others' or one shorter."""
        return part(items, self.rank, self.count)

    def local_shard(self, items: Sequence[T]) -> Sequence[T]:
        """This process's part where every machine does the whole list."""
        return part(items, self.rank % self.local_world_size, self.local_world_size)

    def gather(self, value: T) -> list[T]:
        """Give every process the values of all, by rank; waits for all."""
        if self.count == 1:
            return [value]
        found: list[T] = [value] * self.count
        distributed.all_gather_object(found, value)
        return found

    def wait(self) -> None:
        """Go on when all have come here."""
        self.gather(None)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Make every gradient the sum over processes; call it after `backward`, on all of them.

        A loss that is a mean over a batch must be weighed by the process's share of the batch before `backward`. A
        parameter without a gradient on some processes counts as 0 there; without one on all it stays without.
        """
        learning = [one for one in parameters if one.requires_grad]
        if self.count == 1 or not learning:
            return
        there = torch.tensor([one.grad is not None for one in learning], device=self.device, dtype=torch.float32)
        distributed.all_reduce(there)
        used = [one for one, count in zip(learning, there.tolist(), strict=True) if count]
        for group in by_dtype(used):
            gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in group]
            flat = torch.cat([one.flatten() for one in gradients])
            distributed.all_reduce(flat)
            for one, gradient in zip(group, flat.split([one.numel() for one in group]), strict=True):
                one.grad = gradient.view_as(one).clone()

    def check_same(self, weights: Mapping[str, Tensor]) -> None:
        """Stop where processes do not hold the same weights, as a network that loses numbers would have it."""
        if self.count == 1:
            return
        digest = hashlib.sha256(save({name: value.detach().cpu() for name, value in weights.items()})).hexdigest()
        if len(set(self.gather(digest))) > 1:
            raise RuntimeError("the processes ended with different weights; nothing more was written")

    @contextlib.contextmanager
    def hush(self) -> Iterator[None]:
        """Within it only the main process prints."""
        if self.is_main:
            yield
            return
        with open(os.devnull, "w") as sink, contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
            yield


ALONE = Processes()
"""One process on the CPU."""


def part(items: Sequence[T], place: int, count: int) -> Sequence[T]:
    return items[place * len(items) // count : (place + 1) * len(items) // count]


def by_dtype(parameters: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    found: dict[torch.dtype, list[nn.Parameter]] = {}
    for one in parameters:
        found.setdefault(one.dtype, []).append(one)
    return list(found.values())


def processes(device: str) -> Processes:
    """Join the other processes, if a launcher started any; each takes its own card where `device` is cuda."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes(device=pick_device(device))
    from accelerate import PartialState

    state = PartialState(cpu=pick_device(device).type == "cpu")
    atexit.register(state.destroy_process_group)
    local_world_size = int(os.environ.get("LOCAL_WORLD_SIZE", state.num_processes))
    return Processes(state.process_index, state.num_processes, state.device, local_world_size)
