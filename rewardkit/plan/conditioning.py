"""What a base makes of prompts, as shapes: all zeros; on the meta device masks stay real."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rewardkit.diffusion.base import Base
from rewardkit.plan.dry import META
from rewardkit.types import Conditioning

SD3_TOKENS = 77 + 256
"""CLIP's and T5's, both padded."""

FIXED = {"FluxPipeline": 512, "PixArtSigmaPipeline": 300, "SanaPipeline": 300, "HunyuanImagePipeline": 1000}
"""Tokens to which the stock pipelines pad every prompt."""

LONGEST = {"Lumina2Pipeline": 256, "QwenImagePipeline": 512, "ZImagePipeline": 512}
"""Tokens at which the stock pipelines cut a prompt they do not pad (or whose padding they take off again)."""

GLYPHS = 128
"""Tokens of HunyuanImage's ByT5."""


def conditioning(
    pipeline: str, base: Base, count: int, tokens: int, dtype: torch.dtype, device: torch.device
) -> Conditioning:  # fmt: skip
    """Encode `count` prompts of `tokens` tokens; families that pad to a length of their own take that one."""
    config: Mapping[str, Any] = base.denoiser.config  # type: ignore[assignment]
    length = FIXED.get(pipeline) or min(tokens, LONGEST.get(pipeline, tokens))

    def embeds(width: int, length: int = length) -> Tensor:
        return torch.zeros(count, length, width, dtype=dtype, device=device)

    def mask(length: int = length) -> Tensor:
        kept = (torch.arange(length) < tokens).expand(count, length).contiguous()
        return kept if device == META else kept.to(device)

    def pooled() -> Tensor:
        return torch.zeros(count, config["pooled_projection_dim"], dtype=dtype, device=device)

    match pipeline:
        case "StableDiffusion3Pipeline":
            return {"embeds": embeds(config["joint_attention_dim"], SD3_TOKENS), "pooled": pooled()}
        case "FluxPipeline":
            return {"embeds": embeds(config["joint_attention_dim"]), "pooled": pooled()}
        case "QwenImagePipeline":
            return {"embeds": embeds(config["joint_attention_dim"]), "mask": mask()}
        case "PixArtSigmaPipeline" | "SanaPipeline":
            return {"embeds": embeds(config["caption_channels"]), "mask": mask()}
        case "HunyuanImagePipeline":
            return {
                "embeds": embeds(config["text_embed_dim"]), "mask": mask(),
                "glyphs": embeds(config["text_embed_2_dim"], GLYPHS), "glyph_mask": mask(GLYPHS),
            }  # fmt: skip
        case "SeedlingPipeline":
            return {
                "text_embeds": embeds(config["text_dim"], config["max_text"]), "text_mask": mask(config["max_text"]),
                "glyph_embeds": embeds(config["glyph_dim"], config["max_glyphs"]),
                "glyph_mask": mask(config["max_glyphs"]),
            }  # fmt: skip
        case _:
            return {"embeds": embeds(config["cap_feat_dim"]), "mask": mask()}
