"""Lumina-Image 2.0 (Qin et al. 2025, arXiv:2503.21758): one stream of image and text tokens behind Gemma 2."""

import torch
from diffusers import Lumina2Pipeline
from torch import Tensor

from rewardkit.diffusion.families.family import DiffusersBase, rescaled, where_empty
from rewardkit.types import Conditioning, Latents, PerImage


class Lumina2Base(DiffusersBase):
    """The four verbs over a `Lumina2Pipeline`.

    Its network counts time from noise (0) to image (1) and predicts `image - noise`.
    """

    pipeline_class = Lumina2Pipeline

    @torch.no_grad()
    def encode(self, prompts: list[str]) -> Conditioning:
        embeds, mask, bare, bare_mask = self.pipeline.encode_prompt(list(prompts), "" in prompts, device=self._device)
        conditioning = {"embeds": embeds, "mask": mask.bool()}
        return conditioning if bare is None else where_empty(prompts, conditioning, {"embeds": bare, "mask": bare_mask})

    def text_shapes(self, tokens: int) -> dict[str, tuple[int, ...]]:
        length = min(tokens, 256)  # the network removes the padding up to this length
        return {"embeds": (length, self.pipeline.transformer.config.cap_feat_dim), "mask": (length,)}

    def velocity(self, latents: Latents, sigma: PerImage, conditioning: Conditioning) -> Latents:
        predicted: Tensor = self.denoiser(
            hidden_states=latents.to(self._dtype),
            timestep=1 - sigma,
            encoder_hidden_states=conditioning["embeds"].to(self._dtype),
            encoder_attention_mask=conditioning["mask"],
            return_dict=False,
        )[0]
        return -predicted.to(latents.dtype)

    def guide(self, without: Latents, given: Latents, scale: float) -> Latents:
        """Guidance rescaled, row by row of the latents, to the norm of the conditional prediction."""
        return rescaled(without + scale * (given - without), given)

    def _tokens(self, size: int | None) -> int:
        """The channels, which the stock pipeline counts as tokens when it shifts noise levels by size."""
        return self._channels
