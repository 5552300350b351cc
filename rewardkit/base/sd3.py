"""Stable Diffusion 3 and 3.5 (Esser et al. 2024, arXiv:2403.03206)."""

from typing import Any

import torch
from diffusers import StableDiffusion3Pipeline
from torch import Tensor, nn

from rewardkit.base.latent import decode_latents, freeze, gaussian, latent_side, scheduler_sigmas
from rewardkit.types import Conditioning, Images, Latents, NoiseLevels, PerImage


class StableDiffusion3Base:
    """The four verbs over a `StableDiffusion3Pipeline`; with equal noise it draws what the pipeline draws."""

    distilled_guidance = False
    lora_targets = (
        "to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out",
    )  # fmt: skip

    def __init__(self, pipeline: StableDiffusion3Pipeline) -> None:
        self.pipeline: Any = pipeline
        self.denoiser: nn.Module = pipeline.transformer
        self.image_size: int = pipeline.default_sample_size * pipeline.vae_scale_factor
        freeze(
            self.denoiser, pipeline.vae, pipeline.text_encoder, pipeline.text_encoder_2, pipeline.text_encoder_3
        )  # fmt: skip

    @classmethod
    def load(cls, spec: str, device: torch.device, dtype: torch.dtype) -> "StableDiffusion3Base":
        parts = StableDiffusion3Pipeline.load_config(spec)
        absent = {name: None for name in ("text_encoder_3", "tokenizer_3") if not (parts.get(name) or [None])[0]}
        pipeline = StableDiffusion3Pipeline.from_pretrained(spec, dtype=dtype, **absent)
        pipeline.to(device)
        pipeline.vae.float()
        return cls(pipeline)

    @torch.no_grad()
    def encode(self, prompts: list[str]) -> Conditioning:
        embeds, _, pooled, _ = self.pipeline.encode_prompt(
            prompt=prompts, prompt_2=prompts, prompt_3=prompts, do_classifier_free_guidance=False,
            device=self._weight.device,
        )  # fmt: skip
        return {"embeds": embeds, "pooled": pooled}

    def velocity(self, latents: Latents, sigma: PerImage, conditioning: Conditioning) -> Latents:
        dtype = self._weight.dtype
        predicted: Tensor = self.denoiser(
            hidden_states=latents.to(dtype),
            timestep=sigma * self.pipeline.scheduler.config.num_train_timesteps,
            encoder_hidden_states=conditioning["embeds"].to(dtype),
            pooled_projections=conditioning["pooled"].to(dtype),
            return_dict=False,
        )[0]
        return predicted.to(latents.dtype)

    def decode(self, latents: Latents) -> Images:
        return decode_latents(self.pipeline.vae, latents)

    def noise(self, count: int, generator: torch.Generator, size: int | None = None) -> Latents:
        side = self._side(size)
        shape = (self.pipeline.transformer.config.in_channels, side, side)
        return gaussian(count, shape, generator, self._weight.device, self._latent_dtype)

    def sigmas(self, steps: int, size: int | None = None) -> NoiseLevels:
        tokens = (self._side(size) // self.pipeline.transformer.config.patch_size) ** 2
        return scheduler_sigmas(self.pipeline.scheduler.config, steps, tokens).to(self._weight.device)

    def _side(self, size: int | None) -> int:
        patch = self.pipeline.transformer.config.patch_size
        return latent_side(size or self.image_size, self.pipeline.vae_scale_factor, patch)

    @property
    def _weight(self) -> Tensor:
        weight: Tensor = self.pipeline.transformer.proj_out.weight
        return weight

    @property
    def _latent_dtype(self) -> torch.dtype:
        return torch.promote_types(self._weight.dtype, torch.float32)
