"""Draw prompts from fixed noise, a share on each process, and ask something of the images."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rewardkit.diffusion.sampler import Sampler
from rewardkit.training.processes import ALONE, Processes
from rewardkit.types import Images

Ask = Callable[[Images, Sequence[str]], dict[str, Tensor]]
"""(images, their prompts) -> named values, one row an image."""


@torch.no_grad()
def rollout(
    sampler: Sampler, prompts: Sequence[str], ask: Ask, world: Processes = ALONE, progress: bool = False
) -> dict[str, Tensor]:
    """Values of every prompt's image, on the CPU, a row each; the same on every process.

    Images are drawn and asked about a batch at a time. All processes draw equally many, for sharded weights are
    computed with together; what two of them drew counts once.
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
