"""Qwen-Image (Wu et al. 2025, arXiv:2508.02324): an MMDiT behind Qwen2.5-VL, with a VAE made for video."""

from typing import Any

import torch
from diffusers import QwenImagePipeline
from torch import Tensor

from rewardkit.diffusion.families.family import JOINT_ATTENTION, DiffusersBase, rescaled
from rewardkit.diffusion.families.flux import pack, unpack
from rewardkit.diffusion.latent import to_unit_range
from rewardkit.types import Conditioning, Images, Latents, PerImage

MAX_TOKENS = 512
"""Longest prompt; the stock pipeline's default."""


class QwenImageBase(DiffusersBase):
    """The four verbs over a `QwenImagePipeline`; its latents have no time axis between rooms."""

    pipeline_class = QwenImagePipeline
    lora_targets = JOINT_ATTENTION

    @torch.no_grad()
    def encode(self, prompts: list[str]) -> Conditioning:
        embeds, mask = self.pipeline.encode_prompt(prompts, self._device, max_sequence_length=MAX_TOKENS)
        if mask is None:  # every token counts
            mask = torch.ones(embeds.shape[:2], device=embeds.device)
        return {"embeds": embeds, "mask": mask.bool()}

    def text_shapes(self, tokens: int) -> dict[str, tuple[int, ...]]:
        length = min(tokens, MAX_TOKENS)
        return {"embeds": (length, self.pipeline.transformer.config.joint_attention_dim), "mask": (length,)}

    def velocity(self, latents: Latents, sigma: PerImage, conditioning: Conditioning) -> Latents:
        count, _, height, width = latents.shape
        predicted: Tensor = self.denoiser(
            hidden_states=pack(latents).to(self._dtype),
            timestep=sigma.to(self._dtype),
            encoder_hidden_states=conditioning["embeds"].to(self._dtype),
            encoder_hidden_states_mask=conditioning["mask"],
            img_shapes=[[(1, height // 2, width // 2)]] * count,
            return_dict=False,
        )[0]
        return unpack(predicted, height, width).to(latents.dtype)

    def guide(self, without: Latents, given: Latents, scale: float) -> Latents:
        """Guidance rescaled, token by token, to the norm of the conditional prediction."""
        mixed = rescaled(pack(without + scale * (given - without)), pack(given))
        return unpack(mixed, *given.shape[-2:])

    def decode(self, latents: Latents) -> Images:
        vae: Any = self.pipeline.vae
        mean, std = self._statistics(latents)
        frames = (latents * std + mean).unsqueeze(2).to(next(vae.parameters()))
        # Not `vae.decode`: it clamps to [-1, 1], so over-exposed pixels would have no gradient.
        pixels: Tensor = vae.decoder(vae.post_quant_conv(frames))[:, :, 0]
        return to_unit_range(pixels / 2 + 0.5)

    @torch.no_grad()
    def image_latents(self, images: Images) -> Latents:
        vae: Any = self.pipeline.vae
        frames = (2 * images - 1).unsqueeze(2).to(next(vae.parameters()))
        latents: Tensor = vae.encode(frames).latent_dist.mode()[:, :, 0]
        mean, std = self._statistics(latents)
        return (latents - mean) / std

    def _statistics(self, like: Latents) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel."""
        config = self.pipeline.vae.config
        mean, std = (
            torch.tensor(values, device=like.device, dtype=like.dtype).view(1, -1, 1, 1)
            for values in (config.latents_mean, config.latents_std)
        )
        return mean, std

    def _default_size(self) -> int:
        return int(self.pipeline.default_sample_size * self.pipeline.vae_scale_factor)

    @property
    def _channels(self) -> int:
        return int(self.pipeline.transformer.config.in_channels) // 4
