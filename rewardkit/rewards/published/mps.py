"""Multi-dimensional Preference Score (arXiv:2405.14705): CLIP ViT-H/14 whose image tokens attend to the prompt's.

A condition, a list of words, chooses which prompt tokens count: those whose best match with one of its words is above
0.3 of the prompt's best. The published code divides by the best of the whole batch; here each prompt has its own, so
that a score does not depend on the batch (the same for one prompt at a time, as published).
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel

from rewardkit.encoders import Tokens
from rewardkit.images.preprocess import Framed
from rewardkit.rewards.published.clip import VIT_H14, Tokenize, load_tokenizer
from rewardkit.rewards.published.framing import clip_crop
from rewardkit.rewards.published.scorer import Scorer, between
from rewardkit.rewards.published.weights import Source, fitted, locate, read_state, weight_file
from rewardkit.types import Scores

SOURCE = Source(
    "MPS",
    "REWARDKIT_MPS",
    files=("MPS_overall.pth", "*.safetensors"),
    home="github.com/Kwai-Kolors/MPS (as a state dict: the authors' file is a pickled model)",
)

CONDITIONS = {
    "aesthetics": "light, color, clarity, tone, style, ambiance, artistry",
    "quality": "shape, face, hair, hands, limbs, structure, instance, texture",
    "semantic": "quantity, attributes, position, number, location",
}
OVERALL = f"{', '.join(CONDITIONS.values())}, word, things."
"""The condition of the overall score."""

THRESHOLD = 0.3
LAYERS, HEADS, HEAD_WIDTH = 4, 16, 64
Words = Float[Tensor, "batch words width"]
"""One vector per token of the prompt."""

AttentionMask = Float[Tensor, "batch 1 1 keys"]


class SwiGlu(nn.Module):
    """Half the channels, gated by the other half."""

    def forward(self, x: Tensor) -> Tensor:
        values, gate = x.chunk(2, dim=-1)
        return F.silu(gate) * values


class Residual(nn.Module):
    """A residual connection; it provides the published name `fn`."""

    def __init__(self, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tokens, *arguments: Tensor) -> Tokens:
        return x + self.fn(x, *arguments)


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Multi-query attention; (B, heads, n, d) and (B, m, d) to (B, n, heads * d)."""
    heads = queries.shape[1]
    keys, values = (part.unsqueeze(1).expand(-1, heads, -1, -1) for part in (keys, values))
    return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask).transpose(1, 2).flatten(2)


class CrossAttention(nn.Module):
    """Cross-attention of image tokens to prompt tokens, parallel to a feed-forward."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.to_q = nn.Linear(width, heads * HEAD_WIDTH, bias=False)
        self.to_kv = nn.Linear(width, 2 * HEAD_WIDTH, bias=False)
        self.to_out = nn.Linear(heads * HEAD_WIDTH, width, bias=False)
        self.ff = nn.Sequential(
            nn.Linear(width, 8 * width, bias=False), SwiGlu(), nn.Linear(4 * width, width, bias=False)
        )

    def forward(self, x: Tokens, context: Words, mask: AttentionMask) -> Tokens:
        x = self.norm(x)
        queries = self.to_q(x).unflatten(-1, (self.heads, HEAD_WIDTH)).transpose(1, 2)
        keys, values = self.to_kv(context).chunk(2, dim=-1)
        return self.to_out(attend(queries, keys, values, mask)) + self.ff(x)


class SelfAttention(nn.Module):
    """Self-attention of image tokens with rotary positions, parallel to a feed-forward, with one projection."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.parts = (heads * HEAD_WIDTH, HEAD_WIDTH, HEAD_WIDTH, 8 * width)
        self.norm = nn.LayerNorm(width)
        self.fused_attn_ff_proj = nn.Linear(width, sum(self.parts), bias=False)
        self.attn_out = nn.Linear(heads * HEAD_WIDTH, width, bias=False)
        self.ff_out = nn.Sequential(SwiGlu(), nn.Linear(4 * width, width, bias=False))

    def forward(self, x: Tokens) -> Tokens:
        queries, keys, values, wide = self.fused_attn_ff_proj(self.norm(x)).split(self.parts, dim=-1)
        queries = rotate(queries.unflatten(-1, (self.heads, HEAD_WIDTH)).transpose(1, 2))
        return self.attn_out(attend(queries, rotate(keys), values)) + self.ff_out(wide)


def rotate(x: Tensor) -> Tensor:
    """Rotary position embedding over the last but one dimension, halves paired (arXiv:2104.09864)."""
    count, width = x.shape[-2:]
    rates = 10000 ** (-torch.arange(0, width, 2, device=x.device, dtype=torch.float32) / width)
    angles = torch.arange(count, device=x.device, dtype=torch.float32)[:, None] * rates
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


class CrossModel(nn.Module):
    """Layers of cross-attention and self-attention."""

    def __init__(self, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList([Residual(CrossAttention(width, heads)), Residual(SelfAttention(width, heads))])
            for _ in range(layers)
        )

    def forward(self, images: Tokens, texts: Words, mask: AttentionMask) -> Tokens:
        pairs: list[Any] = list(self.layers)
        for cross, alone in pairs:
            images = alone(cross(images, texts, mask))
        return images


class Mps(Scorer):
    """Scaled cosine of the prompt with the image token that attended to it."""

    name = "mps"
    axis = "alignment"
    reference = between(8.0, 16.0, "values seen with the overall condition, not verified")

    def __init__(
        self,
        tokenize: Tokenize,
        clip: dict[str, Any] | None = None,
        *,
        layers: int = LAYERS,
        heads: int = HEADS,
        condition: str = OVERALL,
    ) -> None:
        super().__init__()
        self.model = CLIPModel(CLIPConfig(**(clip or VIT_H14)))
        self.cross_model = CrossModel(self.model.config.projection_dim, layers, heads)
        self.tokenize = tokenize
        self.condition = condition
        self.preprocess = clip_crop(self.model.config.vision_config.image_size)
        self.freeze()

    def texts(self, prompts: Sequence[str]) -> tuple[Words, Float[Tensor, "batch width"]]:
        """Every token and the end token of each prompt, projected."""
        out = self.model.text_model(input_ids=self.tokenize(list(prompts)).to(self.device))
        return self.model.text_projection(out.last_hidden_state), self.model.text_projection(out.pooler_output)

    def counted(self, tokens: Words) -> AttentionMask:
        """0 for prompt tokens that match the condition, minus infinity for others."""
        words, _ = self.texts([self.condition])
        match = (tokens @ words[0].T).amax(-1)
        share = match / match.amax(-1, keepdim=True)
        return torch.zeros_like(share).masked_fill(share <= THRESHOLD, float("-inf"))[:, None, None]

    def rate(self, pixels: Framed, prompts: Sequence[str]) -> Scores:
        tokens, ends = self.texts(prompts)
        patches = self.model.visual_projection(self.model.vision_model(pixel_values=pixels).last_hidden_state)
        looked = self.cross_model(patches, tokens, self.counted(tokens))[:, 0]
        cosine = (F.normalize(looked, dim=-1) * F.normalize(ends, dim=-1)).sum(-1)
        return self.model.logit_scale.exp() * cosine


def load_mps(
    where: str = "",
    *,
    device: torch.device | str = "cpu",
    clip: dict[str, Any] | None = None,
    layers: int = LAYERS,
    heads: int = HEADS,
    condition: str = OVERALL,
) -> Mps:
    """Load MPS from a state dict (file or folder); `condition` is one of `CONDITIONS` or any other words."""
    path = locate(SOURCE, where)
    file = weight_file(path, SOURCE)
    tokenize, words = load_tokenizer(path, pad_with_end=True), CONDITIONS.get(condition, condition)
    return fitted(lambda: Mps(tokenize, clip, layers=layers, heads=heads, condition=words), read_state(file), file).to(
        device
    )
