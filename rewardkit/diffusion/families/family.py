"""Base class of diffusers families: load and freeze a pipeline, sample its noise, its noise levels, decode."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler, SchedulerMixin
from torch import Tensor, nn

from rewardkit.diffusion.latent import decode_latents, encode_images, freeze, gaussian, latent_side, scheduler_sigmas
from rewardkit.types import Conditioning, Images, Latents, NoiseLevels, PerImage

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
"""Projections of attention in one stream."""

JOINT_ATTENTION = (*ATTENTION, "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
"""Projections of attention over an image and a text stream."""


class DiffusersBase(ABC):
    """The four verbs for a diffusers pipeline; a family defines encoding, its shapes, the
    velocity, and other differences.
    """

    pipeline_class: ClassVar[type[DiffusionPipeline]]
    text_encoder_names: ClassVar[tuple[str, ...]] = ("text_encoder",)
    """Text encoders, by their names in the pipeline."""
    scheduler_class: ClassVar[type[SchedulerMixin]] = FlowMatchEulerDiscreteScheduler
    """Default scheduler class of the family."""
    lora_targets: tuple[str, ...] = ATTENTION
    distilled_guidance: bool = False
    patch: int = 2
    """Latents along the side of one token."""
    even_sigmas: bool = True
    """Whether the pipeline passes evenly spaced noise levels to its scheduler; else the scheduler has its own."""

    def __init__(self, pipeline: DiffusionPipeline) -> None:
        self.pipeline: Any = pipeline
        self.denoiser: nn.Module = self.pipeline.transformer
        self.image_size: int = self._default_size()
        freeze(*self.parts.values())

    @classmethod
    def load(cls, spec: str, device: torch.device, dtype: torch.dtype, **parts: Any) -> "DiffusersBase":
        """Load the pipeline in `dtype`, its VAE in float32; `parts` replace those of the folder."""
        pipeline: Any = cls.pipeline_class.from_pretrained(spec, dtype=dtype, **parts)
        pipeline.to(device)
        pipeline.vae.float()
        return cls(pipeline)

    @classmethod
    def of_parts(cls, parts: Mapping[str, nn.Module]) -> "DiffusersBase":
        """Put networks in a pipeline without tokenizers, which can do everything but encode prompts."""
        asked = inspect.signature(cls.pipeline_class.__init__).parameters.values()
        needed = {each.name for each in asked if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD}
        absent = dict.fromkeys(needed - {"self", "scheduler", *parts})
        return cls(cls.pipeline_class(**absent, **parts, scheduler=cls.scheduler_class()))

    @classmethod
    def part_names(cls) -> tuple[str, ...]:
        """Names of all networks that a pipeline of the family may have."""
        return ("transformer", "vae", *cls.text_encoder_names)

    @property
    def parts(self) -> dict[str, nn.Module]:
        return {name: part for name, part in self.pipeline.components.items() if isinstance(part, nn.Module)}

    @property
    def vae(self) -> nn.Module:
        vae: nn.Module = self.pipeline.vae
        return vae

    @property
    def text_encoders(self) -> dict[str, nn.Module]:
        return {name: part for name, part in self.parts.items() if name in self.text_encoder_names}

    @abstractmethod
    def encode(self, prompts: list[str]) -> Conditioning: ...

    @abstractmethod
    def text_shapes(self, tokens: int) -> dict[str, tuple[int, ...]]: ...

    @abstractmethod
    def velocity(self, latents: Latents, sigma: PerImage, conditioning: Conditioning) -> Latents: ...

    def decode(self, latents: Latents) -> Images:
        return decode_latents(self.vae, latents)

    @torch.no_grad()
    def image_latents(self, images: Images) -> Latents:
        return encode_images(self.vae, images)

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
        """The dtype of the network's first weight; weights of adapters are wider, and never first."""
        return next(self.denoiser.parameters()).dtype

    @property
    def _device(self) -> torch.device:
        return next(self.denoiser.parameters()).device


def where_empty(prompts: Sequence[str], given: Conditioning, empty: Conditioning) -> Conditioning:
    """Rows of `empty` for empty prompts, and of `given` for the others.

    Some pipelines put an instruction before every prompt except the unconditional one. Here the empty prompt is
    the unconditional one.
    """
    chosen = {}
    for name, rows in given.items():
        bare = torch.tensor([not prompt for prompt in prompts], device=rows.device)
        chosen[name] = torch.where(bare.view(-1, *[1] * (rows.ndim - 1)), empty[name].to(rows), rows)
    return chosen


def rescaled(mixed: Tensor, given: Tensor) -> Tensor:
    """Rescale guided predictions to the norm of the conditional predictions along the last dimension."""
    return mixed * (given.norm(dim=-1, keepdim=True) / mixed.norm(dim=-1, keepdim=True))
