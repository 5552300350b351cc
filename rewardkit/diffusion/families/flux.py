"""FLUX.1 dev and schnell: guidance is an input of the network, latents are packed two by two."""

import torch
from diffusers import FluxPipeline
from torch import Tensor

from rewardkit.diffusion.families.family import JOINT_ATTENTION, DiffusersBase
from rewardkit.types import Conditioning, Latents, PerImage


class FluxBase(DiffusersBase):
    """The four verbs over a `FluxPipeline`; its latents stay unpacked between rooms."""

    pipeline_class = FluxPipeline
    lora_targets = JOINT_ATTENTION
    distilled_guidance = True
    text_encoder_names = ("text_encoder", "text_encoder_2")

    @torch.no_grad()
    def encode(self, prompts: list[str]) -> Conditioning:
        embeds, pooled, _ = self.pipeline.encode_prompt(prompts, prompts, device=self._device)
        return {"embeds": embeds, "pooled": pooled}

    def text_shapes(self, tokens: int) -> dict[str, tuple[int, ...]]:
        config = self.pipeline.transformer.config  # T5's tokens are padded to 512
        return {"embeds": (512, config.joint_attention_dim), "pooled": (config.pooled_projection_dim,)}

    def velocity(self, latents: Latents, sigma: PerImage, conditioning: Conditioning) -> Latents:
        dtype, device = self._dtype, latents.device
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

    def _default_size(self) -> int:
        return int(self.pipeline.default_sample_size * self.pipeline.vae_scale_factor)

    @property
    def _channels(self) -> int:
        return int(self.pipeline.transformer.config.in_channels) // 4


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
