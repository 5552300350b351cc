"""Several processes on one job, started by `accelerate launch` or `torchrun`; with one process all calls do nothing.

Every process has the whole model, works on its shard of a batch and adds its gradients to those of the others after the
backward pass. The model is not wrapped, so a step may call any of its methods. Trained parameters must be whole on
every process: sharded parameters (FSDP) reduce their gradients themselves.
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
    """This process in its process group."""

    rank: int = 0
    count: int = 1
    device: torch.device = CPU
    local_world_size: int = 1
    """Processes on this machine."""

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    @property
    def machine(self) -> int:
        return self.rank // self.local_world_size

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's contiguous shard of a list, as long as the others' or one shorter."""
        return part(items, self.rank, self.count)

    def local_shard(self, items: Sequence[T]) -> Sequence[T]:
        """This process's shard if every machine processes the whole list."""
        return part(items, self.rank % self.local_world_size, self.local_world_size)

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes by rank, on every process; waits for all."""
        if self.count == 1:
            return [value]
        found: list[T] = [value] * self.count
        distributed.all_gather_object(found, value)
        return found

    def wait(self) -> None:
        """Wait until all processes have reached this point."""
        self.gather(None)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum every gradient over processes; call it after `backward`, on all of them.

        A loss that is a mean over a batch must be weighted by the process's fraction of the batch before `backward`. A
        missing gradient counts as 0 on a process; if it is missing on all processes, it stays missing.
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
        """Raise if processes do not have the same weights, for example after a network error."""
        if self.count == 1:
            return
        digest = hashlib.sha256(save({name: value.detach().cpu() for name, value in weights.items()})).hexdigest()
        if len(set(self.gather(digest))) > 1:
            raise RuntimeError("the processes have different weights; nothing more was written")

    @contextlib.contextmanager
    def hush(self) -> Iterator[None]:
        """Context in which only the main process prints."""
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
    """Join the process group, if a launcher started one; each process uses its own GPU if `device` is cuda."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes(device=pick_device(device))
    from accelerate import PartialState

    state = PartialState(cpu=pick_device(device).type == "cpu")
    atexit.register(state.destroy_process_group)
    local_world_size = int(os.environ.get("LOCAL_WORLD_SIZE", state.num_processes))
    return Processes(state.process_index, state.num_processes, state.device, local_world_size)
