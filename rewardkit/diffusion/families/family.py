"""What families of diffusers share: load a pipeline, freeze it, draw its noise, take its noise levels, decode."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from diffusers import DiffusionPipeline
from torch import Tensor, nn

from rewardkit.diffusion.latent import decode_latents, encode_images, freeze, gaussian, latent_side, scheduler_sigmas
from rewardkit.types import Conditioning, Images, Latents, NoiseLevels, PerImage

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
"""Projections of attention in one stream."""

JOINT_ATTENTION = (*ATTENTION, "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
"""Projections of attention over an image and a text stream."""


class DiffusersBase(ABC):
    """The four verbs over a diffusers pipeline; a family says how to encode, how to ask for the velocity, and where
    it differs from the rest.
    """

    pipeline_class: ClassVar[type[DiffusionPipeline]]
    lora_targets: tuple[str, ...] = ATTENTION
    distilled_guidance: bool = False
    patch: int = 2
    """Latents along the side of one token."""
    even_sigmas: bool = True
    """Whether the pipeline hands its scheduler even noise levels to shift; else they are the scheduler's own."""

    def __init__(self, pipeline: DiffusionPipeline) -> None:
        self.pipeline: Any = pipeline
        self.denoiser: nn.Module = self.pipeline.transformer
        self.image_size: int = self._default_size()
        freeze(*(part for part in pipeline.components.values() if isinstance(part, nn.Module)))

    @classmethod
    def load(cls, spec: str, device: torch.device, dtype: torch.dtype, **parts: Any) -> "DiffusersBase":
        """Load the pipeline in `dtype`, its VAE in float32; `parts` are given to it in place of the folder's."""
        pipeline: Any = cls.pipeline_class.from_pretrained(spec, dtype=dtype, **parts)
        pipeline.to(device)
        pipeline.vae.float()
        return cls(pipeline)

    @abstractmethod
    def encode(self, prompts: list[str]) -> Conditioning: ...

    @abstractmethod
    def velocity(self, latents: Latents, sigma: PerImage, conditioning: Conditioning) -> Latents: ...

    def decode(self, latents: Latents) -> Images:
        return decode_latents(self.pipeline.vae, latents)

    @torch.no_grad()
    def image_latents(self, images: Images) -> Latents:
        return encode_images(self.pipeline.vae, images)

    def noise(self, count: int, generator: torch.Generator, size: int | None = None) -> Latents:
        side = self._side(size)
        dtype = torch.promote_types(self._dtype, torch.float32)
        return gaussian(count, (self._channels, side, side), generator, self._device, dtype)

    def sigmas(self, steps: int, size: int | None = None) -> NoiseLevels:
        even = [1 - index / steps for index in range(steps)] if self.even_sigmas else None
        return scheduler_sigmas(self.pipeline.scheduler.config, steps, self._tokens(size), even).to(self._device)

    def _default_size(self) -> int:
        return int(self.pipeline.transformer.config.sample_size * self.pipeline.vae_scale_factor)

    def _tokens(self, size: int | None) -> int:
        return (self._side(size) // self.patch) ** 2

    def _side(self, size: int | None) -> int:
        return latent_side(size or self.image_size, self.pipeline.vae_scale_factor, self.patch)

    @property
    def _channels(self) -> int:
        return int(self.pipeline.transformer.config.in_channels)

    @property
    def _dtype(self) -> torch.dtype:
        """That of the network's first weight; an adapter's are wider, and never first."""
        return next(self.denoiser.parameters()).dtype

    @property
    def _device(self) -> torch.device:
        return next(self.denoiser.parameters()).device


def where_empty(prompts: Sequence[str], given: Conditioning, empty: Conditioning) -> Conditioning:
    """Rows of `empty` for the prompts that are empty, of `given` for the others.

    Some pipelines put an instruction before a prompt and none before the unconditional one. Here the empty prompt is
    the unconditional one.
    """
    chosen = {}
    for name, rows in given.items():
        bare = torch.tensor([not prompt for prompt in prompts], device=rows.device)
        chosen[name] = torch.where(bare.view(-1, *[1] * (rows.ndim - 1)), empty[name].to(rows), rows)
    return chosen


def rescaled(mixed: Tensor, given: Tensor) -> Tensor:
    """Give guided predictions the length of the conditional ones along the last dimension."""
    return mixed * (given.norm(dim=-1, keepdim=True) / mixed.norm(dim=-1, keepdim=True))
