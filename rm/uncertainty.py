"""A head that predicts a score and its uncertainty (as in HPSv3, arXiv:2508.03789)."""

import torch
from torch import nn

from rm.heads import COLOUR_SCALE, Features, Shapes, mlp, summary
from rm.losses import Gaussian, MemberScores

BOUND = 8.0
"""Bound of the log-variances: the published loss would decrease them forever."""


class HeadWithUncertainty(nn.Module):
    """Any head with a small network for the log-variance of its score; `forward` returns the head's score.

    It starts at a variance of 1 for every image. Train it on `gaussian` with a loss of `rm.losses.uncertain`.
    """

    def __init__(self, head: nn.Module, shapes: Shapes, *, reads_prompt: bool = False, width: int = 128) -> None:
        super().__init__()
        self.head = head
        self.reads_prompt = reads_prompt
        seen = shapes.embed_dim + 2 * shapes.token_width
        self.norm = nn.LayerNorm(seen)
        self.spread = mlp(seen + 10 + reads_prompt * shapes.embed_dim, width, 1)
        last: nn.Linear = self.spread[-1]  # type: ignore[assignment]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def gaussian(self, features: Features) -> Gaussian:
        """Return the score of each image as a Gaussian; log-variances are in (-8, 8)."""
        seen = [self.norm(summary(features)), COLOUR_SCALE * features.colours]
        if self.reads_prompt:
            seen.append(features.pooled * features.text * features.text.shape[-1])
        raw = self.spread(torch.cat(seen, dim=-1)).squeeze(-1)
        return Gaussian(self.head(features), BOUND * torch.tanh(raw / BOUND))

    def forward(self, features: Features) -> MemberScores:
        scores: MemberScores = self.head(features)
        return scores
