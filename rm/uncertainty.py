"""A head that says how good an image is and how sure it is of that (as HPSv3's, arXiv:2508.03789)."""

import torch
from torch import nn

from rewardkit.types import Scores
from rm.heads import COLOUR_SCALE, Features, Shapes, mlp, summary
from rm.losses import Gaussian

BOUND = 8.0
"""Log-variances stay within this of 0: the published loss would take them down for ever."""


class HeadWithUncertainty(nn.Module):
    """`ImageHead` with two outputs, a mean and a log-variance; called, it gives the mean, which is the score.

    It starts at a variance of 1 for every image. Train it on `gaussian` with a loss of `rm.losses.uncertain`.
    """

    def __init__(self, shapes: Shapes, width: int = 256) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(shapes.embed_dim + 2 * shapes.token_width)
        self.mlp = mlp(shapes.embed_dim + 2 * shapes.token_width + 10, width, 2)
        last = self.mlp[-1]
        with torch.no_grad():
            last.weight[1].zero_()  # type: ignore[operator, index]
            last.bias[1].zero_()  # type: ignore[operator, index]

    def gaussian(self, features: Features) -> Gaussian:
        """Give the score of each image as a Gaussian; log-variances are in (-8, 8)."""
        seen = torch.cat([self.norm(summary(features)), COLOUR_SCALE * features.colours], dim=-1)
        mean, raw = self.mlp(seen).unbind(-1)
        return Gaussian(mean, BOUND * torch.tanh(raw / BOUND))

    def forward(self, features: Features) -> Scores:
        return self.gaussian(features).mean
