"""Seedling, the built-in base: small, shaped like Seedream 2.0 (arXiv:2503.07703), shipped with the package."""

from typing import Any

import torch
from torch import Tensor, nn

from rewardkit.diffusion.latent import freeze, gaussian, latent_side, scheduler_sigmas, to_unit_range
from rewardkit.seedling.pipeline import SeedlingPipeline
from rewardkit.types import Conditioning, Images, Latents, NoiseLevels, PerImage


class SeedlingBase:
    """The four verbs over a `SeedlingPipeline`; with equal noise it draws what the pipeline draws."""

    distilled_guidance = False
    lora_targets = (
        "to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out",
        "ff.0", "ff.2", "ff_context.0", "ff_context.2",
    )  # fmt: skip

    text_targets = ("q_proj", "k_proj", "v_proj", "o_proj", "q", "k", "v", "o")

    def __init__(self, pipeline: SeedlingPipeline) -> None:
        self.pipeline: Any = pipeline
        self.denoiser: nn.Module = self.pipeline.transformer
        self.image_size: int = self.pipeline.default_size
        freeze(self.denoiser, self.pipeline.vae, self.pipeline.text_encoder, self.pipeline.glyph_encoder)

    @classmethod
    def load(cls, spec: str, device: torch.device, dtype: torch.dtype) -> "SeedlingBase":
        pipeline = SeedlingPipeline.from_pretrained(spec, dtype=dtype)
        pipeline.to(device)
        pipeline.vae.float()
        return cls(pipeline)

    @property
    def text_encoders(self) -> dict[str, nn.Module]:
        return {name: getattr(self.pipeline, name) for name in ("text_encoder", "glyph_encoder")}

    @torch.no_grad()
    def encode(self, prompts: list[str]) -> Conditioning:
        return self.encode_with_graph(prompts)

    def encode_with_graph(self, prompts: list[str]) -> Conditioning:
        encoded: Conditioning = self.pipeline.encode_prompt(prompts)
        return encoded

    def velocity(self, latents: Latents, sigma: PerImage, conditioning: Conditioning) -> Latents:
        dtype = self._weight.dtype
        conditioning = {
            name: value.to(dtype) if value.is_floating_point() else value for name, value in conditioning.items()
        }
        predicted: Tensor = self.denoiser(latents.to(dtype), sigma, **conditioning, return_dict=False)[0]
        return predicted.to(latents.dtype)

    def decode(self, latents: Latents) -> Images:
        pixels: Tensor = self.pipeline.decode_latents(latents.to(next(self.pipeline.vae.parameters()).dtype))
        return to_unit_range(pixels / 2 + 0.5)

    @torch.no_grad()
    def image_latents(self, images: Images) -> Latents:
        vae: Any = self.pipeline.vae
        latents: Tensor = vae.standardise(vae.posterior((2 * images - 1).to(next(vae.parameters()))).mode())
        return latents

    def noise(self, count: int, generator: torch.Generator, size: int | None = None) -> Latents:
        side = self._side(size)
        dtype = torch.promote_types(self._weight.dtype, torch.float32)
        channels = self.pipeline.transformer.config.in_channels
        return gaussian(count, (channels, side, side), generator, self._weight.device, dtype)

    def sigmas(self, steps: int, size: int | None = None) -> NoiseLevels:
        tokens = (self._side(size) // self.pipeline.transformer.config.patch_size) ** 2
        return scheduler_sigmas(self.pipeline.scheduler.config, steps, tokens).to(self._weight.device)

    def _side(self, size: int | None) -> int:
        factor = self.pipeline.vae.config.downsample
        return latent_side(size or self.image_size, factor, self.pipeline.transformer.config.patch_size)

    @property
    def _weight(self) -> Tensor:
        weight: Tensor = self.pipeline.transformer.proj_in.weight
        return weight
