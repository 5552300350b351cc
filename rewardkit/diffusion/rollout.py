"""Generate images from fixed noise, one shard per process, and evaluate a function of the images."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rewardkit.diffusion.sampler import Sampler
from rewardkit.training.processes import ALONE, Processes
from rewardkit.types import Images

Ask = Callable[[Images, Sequence[str]], dict[str, Tensor]]
"""(images, their prompts) -> named values, one row per image."""


@torch.no_grad()
def rollout(
    sampler: Sampler, prompts: Sequence[str], ask: Ask, world: Processes = ALONE, progress: bool = False
) -> dict[str, Tensor]:
    """Values of every prompt's image, on the CPU, one row each; the same on every process.

    Images are generated and evaluated in batches. All processes generate equally many, because sharded weights are
    gathered together; duplicates are dropped.
    """
    device = next(sampler.base.denoiser.parameters()).device
    batch_size = sampler.config.batch_size
    rows, most = world.share(range(len(prompts))), -(-len(prompts) // world.count)
    assert isinstance(rows, range)
    first = min(rows.start, len(prompts) - most)
    texts = prompts[first : first + most]
    parts = [
        ask(images.to(device), texts[number * batch_size :][: len(images)])
        for number, images in enumerate(sampler.batches(texts, first, progress))
    ]
    own = slice(rows.start - first, rows.stop - first)
    values = {name: torch.cat([part[name].cpu() for part in parts])[own] for name in parts[0]}
    return {name: torch.cat(each) for name, each in by_name(world.gather(values)).items()}


def by_name(found: Sequence[dict[str, Tensor]]) -> dict[str, list[Tensor]]:
    return {name: [each[name] for each in found] for name in found[0]}
