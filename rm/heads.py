"""Reward heads: small networks, always in float32, from the features of one encoder pass to one score per image.

A head reads `Features`: patch tokens, the pooled image embedding, colour statistics, the prompt's embedding, and
the bytes of the wanted text. `build_head` chooses a head by axis; unknown axes get the head that reads
only the image.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from rewardkit.encoders import Colours, Embedding, Tokens
from rewardkit.types import Scores
from rm.glyphs import PAD, Glyphs
from rm.names import Kind


@dataclass(frozen=True)
class Features:
    """The input of the heads for a batch of images and their prompts."""

    tokens: Tokens
    pooled: Embedding
    colours: Colours
    text: Float[Tensor, "batch text_dim"]
    """Has width 0 if the encoder reads no prompts."""
    glyphs: Glyphs


@dataclass(frozen=True)
class Shapes:
    """The sizes of the features of an encoder."""

    token_width: int
    embed_dim: int
    reads_text: bool = True


def build_head(axis: str, kind: Kind, shapes: Shapes, scale: float = 100.0) -> nn.Module:
    """Build the head of an axis, initialised from torch's global generator."""
    if kind == "cosine":
        return CosineHead(shapes.embed_dim, scale)
    match axis:
        case "alignment":
            return AlignmentHead(shapes, scale)
        case "text":
            return TextHead(shapes)
        case _:
            return ImageHead(shapes)


class CosineHead(nn.Module):
    """The CLIP score itself as the reward: the scaled cosine of image and prompt (arXiv:2503.07703, 4.3.2).

    A matrix on each side, initialised to the identity, lets several axes share one tower, and is trained if it is
    frozen.
    """

    def __init__(self, dim: int, scale: float = 100.0) -> None:
        super().__init__()
        self.image = nn.Parameter(torch.eye(dim))
        self.text = nn.Parameter(torch.eye(dim))
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))

    def forward(self, features: Features) -> Scores:
        cosine = F.cosine_similarity(features.pooled @ self.image, features.text @ self.text, dim=-1)
        return self.log_scale.exp() * cosine


COLOUR_SCALE = 8.0
"""Scales statistics of pixels, which differ by tenths, to the magnitude of normalised features."""


class ImageHead(nn.Module):
    """A two-layer perceptron on the pooled embedding, statistics of the patch tokens, and colour; no prompt."""

    def __init__(self, shapes: Shapes, width: int = 256) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(shapes.embed_dim + 2 * shapes.token_width)
        self.mlp = mlp(shapes.embed_dim + 2 * shapes.token_width + 10, width, 1)

    def forward(self, features: Features) -> Scores:
        seen = torch.cat([self.norm(summary(features)), COLOUR_SCALE * features.colours], dim=-1)
        scores: Scores = self.mlp(seen).squeeze(-1)
        return scores


def summary(features: Features) -> Tensor:
    """Concatenate the pooled embedding, and the mean and the standard deviation of the patch tokens."""
    tokens = features.tokens
    spread = (tokens.var(1, correction=0) + 1e-6).sqrt()
    return torch.cat([features.pooled * features.pooled.shape[-1] ** 0.5, tokens.mean(1), spread], dim=-1)


class AlignmentHead(nn.Module):
    """The scaled cosine of image and prompt, plus the output of a small network on both.

    The prompt's embedding attends to the patch tokens, and a perceptron reads the result and the product of the two
    embeddings. The perceptron's output starts at zero, so that an untrained head is the CLIP score.
    """

    def __init__(self, shapes: Shapes, scale: float = 100.0, width: int = 128, queries: int = 4) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(min(scale, 20.0))))
        self.ask = nn.Linear(shapes.embed_dim, queries * width)
        self.reader = Reader(shapes.token_width, width, layers=2)
        self.queries = queries
        self.mlp = mlp(queries * width + 2 * shapes.embed_dim, width, 1)
        nn.init.zeros_(self.mlp[-1].weight)  # type: ignore[arg-type]

    def forward(self, features: Features) -> Scores:
        unit = features.text.shape[-1] ** 0.5
        cosine = (features.pooled * features.text).sum(-1)
        asked = self.ask(features.text * unit).reshape(len(features.text), self.queries, -1)
        answers = self.reader(asked, features.tokens).flatten(1)
        product = features.pooled * features.text * unit**2
        joint = torch.cat([answers, product, features.text * unit], dim=-1)
        learned: Scores = self.mlp(joint).squeeze(-1)
        return self.log_scale.exp() * cosine + learned


class TextHead(nn.Module):
    """Compares the image with the wanted text: every byte attends to the patches.

    The score is the mean over bytes of how well each was found, plus the output of a global token (too much text, a
    second line). Character accuracy is a mean over characters too. A prompt without quoted text scores 0.
    """

    def __init__(self, shapes: Shapes, width: int = 128, layers: int = 2, max_bytes: int = 64) -> None:
        super().__init__()
        self.byte = nn.Embedding(257, width, padding_idx=PAD)
        self.place = nn.Parameter(torch.randn(max_bytes, width) * 0.02)
        self.whole = nn.Parameter(torch.randn(width) * 0.02)
        self.reader = Reader(shapes.token_width, width, layers)
        self.score = nn.Linear(width, 1)
        nn.init.normal_(self.byte.weight, std=0.5)

    def forward(self, features: Features) -> Scores:
        glyphs = features.glyphs
        letters = self.byte(glyphs) + self.place[: glyphs.shape[1]]
        queries = torch.cat([self.whole.expand(len(glyphs), 1, -1), letters], dim=1)
        present = F.pad(glyphs != PAD, (1, 0), value=True)
        scores = self.score(self.reader(queries, features.tokens, present)).squeeze(-1)
        count = present[:, 1:].sum(1)
        mean = (scores[:, 1:] * present[:, 1:]).sum(1) / count.clamp_min(1)
        return torch.where(count > 0, scores[:, 0] + mean, torch.zeros_like(mean))


class Reader(nn.Module):
    """A small transformer decoder: queries attend to each other and to the patch tokens, which have positions.

    All layers share one projection of the tokens, and nothing is trained before it: with cached features it is most
    of the work of a training step, and its input needs no gradient.
    """

    def __init__(self, token_width: int, width: int, layers: int, heads: int = 4) -> None:
        super().__init__()
        self.memory = nn.Linear(token_width, 2 * width)
        self.place = nn.Linear(width, 2 * width, bias=False)
        self.layers = nn.ModuleList(ReaderLayer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, queries: Tensor, tokens: Tensor, present: Tensor | None = None) -> Tensor:
        memory = self.memory(F.layer_norm(tokens, tokens.shape[-1:]))
        memory = memory + self.place(grid_positions(tokens.shape[1], queries.shape[-1]).to(memory))
        keys, values = memory.chunk(2, -1)
        for layer in self.layers:
            queries = layer(queries, keys, values, present)
        answers: Tensor = self.norm(queries)
        return answers


class ReaderLayer(nn.Module):
    """Self-attention of the queries, cross-attention to the memory, a perceptron; all pre-normalised."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.own = nn.Linear(width, 3 * width)
        self.own_out = nn.Linear(width, width)
        self.query = nn.Linear(width, width)
        self.memory_out = nn.Linear(width, width)
        self.mlp = mlp(width, 2 * width, width)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, present: Tensor | None) -> Tensor:
        mask = None if present is None else present[:, None, None]
        q, k, v = self.own(self.norms[0](queries)).chunk(3, -1)
        queries = queries + self.own_out(self.attend(q, k, v, mask))
        asked = self.query(self.norms[1](queries))
        queries = queries + self.memory_out(self.attend(asked, keys, values, None))
        changed: Tensor = self.mlp(self.norms[2](queries))
        return queries + changed

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = (x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2) for x in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


def grid_positions(count: int, width: int) -> Tensor:
    """Sines and cosines of the row and the column of each patch; (count, width), for a square grid or a single row.

    Coordinates are from 0 to 1 over the image, so a position has the same code on a finer grid.
    """
    side = math.isqrt(count)
    rows, columns = (side, side) if side * side == count else (1, count)
    frequencies = torch.logspace(0, 5, width // 4, base=2) * math.pi
    codes = []
    for index, length in ((torch.arange(count) // columns, rows), (torch.arange(count) % columns, columns)):
        angle = ((index + 0.5) / length)[:, None] * frequencies
        codes += [angle.sin(), angle.cos()]
    return F.pad(torch.cat(codes, dim=-1), (0, width % 4))


def mlp(inputs: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.GELU(), nn.Linear(width, outputs))
