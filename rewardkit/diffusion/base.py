"""A base model is four verbs (encode prompts, predict at a noise level, decode, make noise) and the parts they use.

Every base here is a rectified flow: `x_sigma = (1 - sigma) * image + sigma * noise`, and the velocity it predicts is
`noise - image`; a family that was trained otherwise converts in its own file.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from rewardkit.types import Conditioning, Images, Latents, NoiseLevels, PerImage


@runtime_checkable
class Base(Protocol):
    """The interface of a text-to-image model; all its weights are frozen and in eval mode."""

    pipeline: Any
    """The diffusers pipeline it wraps."""
    denoiser: nn.Module
    """The network that adapters are attached to."""
    image_size: int
    """Default height and width of images, in pixels."""
    distilled_guidance: bool
    """Whether guidance is an input of the network (one pass) and not a second, unconditional pass."""

    @property
    def parts(self) -> dict[str, nn.Module]:
        """Everything with weights, by its name in the pipeline."""
        ...

    @property
    def vae(self) -> nn.Module:
        """The autoencoder of images, one of the parts."""
        ...

    @property
    def text_encoders(self) -> dict[str, nn.Module]:
        """The text encoders, by name in the pipeline; empty once they are freed."""
        ...

    @property
    def lora_targets(self) -> tuple[str, ...]:
        """Names of the layers that get a LoRA by default."""
        ...

    def encode(self, prompts: list[str]) -> Conditioning:
        """Encode the prompts, without a graph; the batch is the first dimension of every tensor."""
        ...

    def text_shapes(self, tokens: int) -> dict[str, tuple[int, ...]]:
        """Shapes of the result of `encode` for a prompt of `tokens` tokens, without the batch; masks by name."""
        ...

    def velocity(self, latents: Latents, sigma: PerImage, conditioning: Conditioning) -> Latents:
        """Predict `noise - image` at noise level `sigma` of each sample, in float32 or wider."""
        ...

    def decode(self, latents: Latents) -> Images:
        """Decode latents to images in [0, 1], differentiably (see `rewardkit.diffusion.latent.to_unit_range`)."""
        ...

    def noise(self, count: int, generator: torch.Generator, size: int | None = None) -> Latents:
        """Sample the latents at the first noise level for square images of `size` pixels."""
        ...

    def sigmas(self, steps: int, size: int | None = None) -> NoiseLevels:
        """The `steps + 1` noise levels of its scheduler, from 1 or just below to 0."""
        ...


@runtime_checkable
class Family(Protocol):
    """A class of bases, for one class of diffusers pipelines."""

    def __call__(self, pipeline: Any) -> Base:
        """Wrap a pipeline and freeze its weights."""
        ...

    def load(self, spec: str, device: torch.device, dtype: torch.dtype) -> Base:
        """Load a folder in diffusers format or a hub id, its VAE in float32."""
        ...

    def part_names(self) -> tuple[str, ...]:
        """Names of all networks that a pipeline of the family may have."""
        ...

    def of_parts(self, parts: Mapping[str, nn.Module]) -> Base:
        """Wrap a pipeline of these networks without tokenizers, which can do everything but encode prompts."""
        ...


@runtime_checkable
class OwnGuidance(Protocol):
    """A base with its own way to combine the two passes of guidance."""

    def guide(self, without: Latents, given: Latents, scale: float) -> Latents:
        """Combine the unconditional and the conditional velocity."""
        ...


@runtime_checkable
class TunableText(Protocol):
    """A base with text encoders that can have an adapter."""

    text_targets: tuple[str, ...]
    """Names of their layers that get the adapter."""

    @property
    def tunable_text_encoders(self) -> dict[str, nn.Module]:
        """These encoders, by name in the pipeline."""
        ...

    def encode_with_graph(self, prompts: list[str]) -> Conditioning:
        """The same as `encode`, with a graph."""
        ...


@runtime_checkable
class ImageEncoding(Protocol):
    """A base that can encode real images."""

    def image_latents(self, images: Images) -> Latents:
        """Encode images to the latents that `decode` takes (their mean), without a graph."""
        ...
