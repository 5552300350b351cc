"""FLUX.1 dev and schnell: guidance is an input of the network, latents are packed two by two."""

from typing import Any

import torch
from diffusers import FluxPipeline
from torch import Tensor, nn

from rewardkit.base.latent import decode_latents, freeze, gaussian, latent_side, scheduler_sigmas
from rewardkit.types import Conditioning, Images, Latents, NoiseLevels, PerImage


class FluxBase:
    """The four verbs over a `FluxPipeline`; its latents stay unpacked between rooms."""

    distilled_guidance = True
    lora_targets = ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")

    def __init__(self, pipeline: FluxPipeline) -> None:
        self.pipeline: Any = pipeline
        self.denoiser: nn.Module = pipeline.transformer
        self.image_size: int = pipeline.default_sample_size * pipeline.vae_scale_factor
        freeze(self.denoiser, pipeline.vae, pipeline.text_encoder, pipeline.text_encoder_2)

    @classmethod
    def load(cls, spec: str, device: torch.device, dtype: torch.dtype) -> "FluxBase":
        pipeline = FluxPipeline.from_pretrained(spec, dtype=dtype)
        pipeline.to(device)
        pipeline.vae.float()
        return cls(pipeline)

    @torch.no_grad()
    def encode(self, prompts: list[str]) -> Conditioning:
        embeds, pooled, _ = self.pipeline.encode_prompt(prompts, prompts, device=self._weight.device)
        return {"embeds": embeds, "pooled": pooled}

    def velocity(self, latents: Latents, sigma: PerImage, conditioning: Conditioning) -> Latents:
        dtype, device = self._weight.dtype, latents.device
        _, _, height, width = latents.shape
        guidance = conditioning.get("guidance", torch.ones_like(sigma))
        predicted: Tensor = self.denoiser(
            hidden_states=pack(latents).to(dtype),
            timestep=sigma.to(dtype),
            guidance=guidance.to(device) if self.pipeline.transformer.config.guidance_embeds else None,
            pooled_projections=conditioning["pooled"].to(dtype),
            encoder_hidden_states=conditioning["embeds"].to(dtype),
            txt_ids=torch.zeros(conditioning["embeds"].shape[1], 3, device=device, dtype=dtype),
            img_ids=image_ids(height // 2, width // 2).to(device, dtype),
            return_dict=False,
        )[0]
        return unpack(predicted, height, width).to(latents.dtype)

    def decode(self, latents: Latents) -> Images:
        return decode_latents(self.pipeline.vae, latents)

    def noise(self, count: int, generator: torch.Generator, size: int | None = None) -> Latents:
        side = self._side(size)
        shape = (self.pipeline.transformer.config.in_channels // 4, side, side)
        dtype = torch.promote_types(self._weight.dtype, torch.float32)
        return gaussian(count, shape, generator, self._weight.device, dtype)

    def sigmas(self, steps: int, size: int | None = None) -> NoiseLevels:
        tokens = (self._side(size) // 2) ** 2
        even = [1 - index / steps for index in range(steps)]
        return scheduler_sigmas(self.pipeline.scheduler.config, steps, tokens, even).to(self._weight.device)

    def _side(self, size: int | None) -> int:
        return latent_side(size or self.image_size, self.pipeline.vae_scale_factor, 2)

    @property
    def _weight(self) -> Tensor:
        weight: Tensor = self.pipeline.transformer.proj_out.weight
        return weight


def pack(latents: Latents) -> Tensor:
    """Fold 2x2 patches of (B, C, H, W) to tokens of (B, H/2 * W/2, 4C), channels slowest."""
    batch, channels, height, width = latents.shape
    patches = latents.reshape(batch, channels, height // 2, 2, width // 2, 2)
    return patches.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, channels * 4)


def unpack(tokens: Tensor, height: int, width: int) -> Latents:
    """Undo `pack` for latents of this height and width."""
    batch, _, channels = tokens.shape
    patches = tokens.reshape(batch, height // 2, width // 2, channels // 4, 2, 2)
    return patches.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels // 4, height, width)


def image_ids(rows: int, columns: int) -> Tensor:
    """Position (0, row, column) of every token, row by row."""
    grid = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).reshape(-1, 2)
    return torch.cat([torch.zeros(len(grid), 1, dtype=grid.dtype), grid], 1)
