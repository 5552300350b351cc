"""Seedling, the built-in base: small, shaped like Seedream 2.0 (arXiv:2503.07703), shipped with the package."""

from typing import Any

import torch
from torch import Tensor, nn

from rewardkit.diffusion.families.family import JOINT_ATTENTION, DiffusersBase
from rewardkit.diffusion.latent import to_unit_range
from rewardkit.seedling.pipeline import SeedlingPipeline
from rewardkit.types import Conditioning, Images, Latents, PerImage


class SeedlingBase(DiffusersBase):
    """The four verbs over a `SeedlingPipeline`; with equal noise it generates the pipeline's images."""

    pipeline_class = SeedlingPipeline
    text_encoder_names = ("text_encoder", "glyph_encoder")
    lora_targets = (*JOINT_ATTENTION, "ff.0", "ff.2", "ff_context.0", "ff_context.2")
    even_sigmas = False
    text_targets = ("q_proj", "k_proj", "v_proj", "o_proj", "q", "k", "v", "o")

    def __init__(self, pipeline: SeedlingPipeline) -> None:
        super().__init__(pipeline)
        self.patch = self.pipeline.transformer.config.patch_size

    @property
    def tunable_text_encoders(self) -> dict[str, nn.Module]:
        return self.text_encoders

    @torch.no_grad()
    def encode(self, prompts: list[str]) -> Conditioning:
        return self.encode_with_graph(prompts)

    def encode_with_graph(self, prompts: list[str]) -> Conditioning:
        encoded: Conditioning = self.pipeline.encode_prompt(prompts)
        return encoded

    def text_shapes(self, tokens: int) -> dict[str, tuple[int, ...]]:
        config = self.pipeline.transformer.config
        return {
            "text_embeds": (config.max_text, config.text_dim),
            "text_mask": (config.max_text,),
            "glyph_embeds": (config.max_glyphs, config.glyph_dim),
            "glyph_mask": (config.max_glyphs,),
        }

    def velocity(self, latents: Latents, sigma: PerImage, conditioning: Conditioning) -> Latents:
        dtype = self._dtype
        conditioning = {
            name: value.to(dtype) if value.is_floating_point() else value for name, value in conditioning.items()
        }
        predicted: Tensor = self.denoiser(latents.to(dtype), sigma, **conditioning, return_dict=False)[0]
        return predicted.to(latents.dtype)

    def decode(self, latents: Latents) -> Images:
        pixels: Tensor = self.pipeline.decode_latents(latents.to(next(self.vae.parameters()).dtype))
        return to_unit_range(pixels / 2 + 0.5)

    @torch.no_grad()
    def image_latents(self, images: Images) -> Latents:
        vae: Any = self.vae
        latents: Tensor = vae.standardise(vae.posterior((2 * images - 1).to(next(vae.parameters()))).mode())
        return latents
