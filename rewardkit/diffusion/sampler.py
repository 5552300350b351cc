"""Generate images from prompts: a base and its sampling settings in one object."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch

from rewardkit.diffusion.base import Base
from rewardkit.diffusion.sampling import guided, sample
from rewardkit.errors import UserError
from rewardkit.io.progress import Progress
from rewardkit.prompts import check_prompts
from rewardkit.types import Conditioning, Images


@dataclass(frozen=True)
class SamplingConfig:
    """How images are generated. Raise `UserError` for less than one step or an empty batch."""

    steps: int
    """Sampling steps from noise to image."""
    guidance: float = 1.0
    """Classifier-free guidance scale; 1 means none."""
    seed: int = 0
    """Seed; the noise of image i depends only on this and on i."""
    batch_size: int = 16
    """Images generated at once."""
    size: int | None = None
    """Height and width in pixels; the default of the base if not given."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"sampling steps must be 1 or more; got {self.steps}")
        if self.batch_size < 1:
            raise UserError(f"batch_size must be 1 or more; got {self.batch_size}")


@dataclass(frozen=True)
class Sampler:
    """A base with its sampling settings.

    Two bases, or two runs of different batch size, share their noise image by image.
    """

    base: Base
    config: SamplingConfig
    encode: Callable[[list[str]], Conditioning] | None = None
    """Encodes prompts instead of the base, whose text encoders may have been freed."""

    def batches(self, prompts: Sequence[str], first: int = 0, progress: bool = False) -> Iterator[Images]:
        """Generate one image per prompt, batch by batch, on the CPU; `first` is the index of the first image.

        Raises `UserError` for prompts that are not a list of texts.
        """
        check_prompts(prompts, "generating images")
        base, config, encode = self.base, self.config, self.encode or self.base.encode
        empty = encode([""])
        sigmas = base.sigmas(config.steps, config.size)
        with Progress("drawing", len(prompts)) if progress else nullcontext() as bar:
            for start in range(0, len(prompts), config.batch_size):
                batch = list(prompts[start : start + config.batch_size])
                seeds = [image_seed(config.seed, first + start + offset) for offset in range(len(batch))]
                noise = torch.cat([base.noise(1, torch.Generator().manual_seed(each), config.size) for each in seeds])
                with torch.no_grad():
                    velocity = guided(base, encode(batch), empty, config.guidance)
                    images = base.decode(sample(velocity, noise, sigmas)).float().cpu()
                if bar is not None:
                    bar.update(len(batch))
                yield images

    def generate(self, prompts: Sequence[str], first: int = 0, progress: bool = False) -> Images:
        """Generate one image per prompt (see `batches`), all in memory."""
        if not prompts:
            raise UserError("there is no prompt to generate an image of; give one or more")
        return torch.cat(list(self.batches(prompts, first, progress)))

    def seeded(self, seed: int) -> "Sampler":
        """The same sampler with other noise."""
        return replace(self, config=replace(self.config, seed=seed))


def generate_images(
    base: Base,
    prompts: Sequence[str],
    *,
    steps: int,
    guidance: float = 1.0,
    seed: int = 0,
    batch_size: int = 16,
    size: int | None = None,
) -> Images:
    """Generate one image per prompt, all in memory: `Sampler.generate` in one call."""
    return Sampler(base, SamplingConfig(steps, guidance, seed, batch_size, size)).generate(prompts)


def image_seed(seed: int, index: int) -> int:
    """Seed of image `index` of a run: different for every pair, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{index}".encode(), digest_size=7).digest(), "big")
