"""BLIP's two towers as in ImageReward (arXiv:2201.12086): a ViT, and a BERT that attends to the image.

The ViT is implemented here because its published names are timm's; the text side is transformers' BLIP text model,
which has the published names.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BlipTextConfig
from transformers.models.blip.modeling_blip_text import BlipTextModel

from rewardkit.encoders import Tokens
from rewardkit.images.preprocess import Framed


@dataclass(frozen=True)
class VitSize:
    """Size of the image tower; by default ViT-L/16 at 224 pixels."""

    image_size: int = 224
    patch_size: int = 16
    width: int = 1024
    depth: int = 24
    heads: int = 16


BERT: dict[str, Any] = {
    "vocab_size": 30524,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 512,
    "layer_norm_eps": 1e-12,
}
"""BERT base with BLIP's two additional tokens ([DEC] and [ENC])."""


class Attention(nn.Module):
    """Self-attention over patches."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tokens) -> Tokens:
        batch, count, width = x.shape
        qkv = self.qkv(x).view(batch, count, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*qkv.unbind(0))
        return self.proj(mixed.transpose(1, 2).reshape(batch, count, width))


class FeedForward(nn.Module):
    """Two layers with a GELU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tokens) -> Tokens:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = FeedForward(width)

    def forward(self, x: Tokens) -> Tokens:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    """Patches to vectors."""

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, pixels: Framed) -> Tokens:
        return self.proj(pixels).flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """A ViT that returns all tokens, normalised."""

    def __init__(self, size: VitSize) -> None:
        super().__init__()
        patches = (size.image_size // size.patch_size) ** 2
        self.patch_embed = PatchEmbed(size.patch_size, size.width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, patches + 1, size.width))
        self.blocks = nn.Sequential(*(Block(size.width, size.heads) for _ in range(size.depth)))
        self.norm = nn.LayerNorm(size.width, eps=1e-6)

    def forward(self, pixels: Framed) -> Tokens:
        patches = self.patch_embed(pixels)
        first = self.cls_token.expand(len(patches), -1, -1)
        return self.norm(self.blocks(torch.cat([first, patches], dim=1) + self.pos_embed))


class Blip(nn.Module):
    """A text encoder whose tokens attend to the image."""

    def __init__(self, vit: VitSize, bert: dict[str, Any]) -> None:
        super().__init__()
        self.visual_encoder = VisionTransformer(vit)
        # transformers builds the cross-attention only into a "decoder"; it is called as an encoder below.
        config = BlipTextConfig(**bert, encoder_hidden_size=vit.width, is_decoder=True, hidden_act="gelu")
        self.text_encoder = BlipTextModel(config, add_pooling_layer=False)

    def forward(
        self, pixels: Framed, ids: Int[Tensor, "batch length"], mask: Int[Tensor, "batch length"]
    ) -> Float[Tensor, "batch width"]:
        """The first token of each prompt, (B, width)."""
        out = self.text_encoder(
            input_ids=ids, attention_mask=mask, encoder_hidden_states=self.visual_encoder(pixels), is_decoder=False
        )
        return out.last_hidden_state[:, 0]
