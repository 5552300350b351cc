"""Shard the denoiser's frozen weights across processes: each keeps a part and gathers a block while computing it.

This is FSDP2 (`torch.distributed.fsdp.fully_shard`). The LoRA stays whole everywhere, and its gradients are summed as
without sharding. All processes must call the denoiser equally often, or they wait for each other forever.
"""

from collections.abc import Iterable, Iterator

from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from rewardkit.training.processes import Processes


def shard(denoiser: nn.Module, whole: Iterable[nn.Parameter], world: Processes) -> None:
    """Shard all weights but `whole`, block by block."""
    mesh, kept = init_device_mesh(world.device.type, (world.count,)), set(whole)
    for module in (*blocks(denoiser), denoiser):
        fully_shard(module, mesh=mesh, ignored_params=kept)


def blocks(network: nn.Module) -> Iterator[nn.Module]:
    """The modules in a network's module lists, which are computed one after another."""
    for child in network.children():
        if isinstance(child, nn.ModuleList):
            yield from child
