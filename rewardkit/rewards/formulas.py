"""Rewards without a trained model: published differentiable formulas, for a first run and for tests."""

from collections.abc import Sequence

import torch

from rewardkit.images.statistics import opponent_colours
from rewardkit.types import Images, Scores


def colourfulness(images: Images) -> Scores:
    """Colourfulness M3 of Hasler and Süsstrunk (2003, "Measuring colourfulness in natural images"), on a [0, 1] scale.

    About 0 for grey, 0.3 for colourful photographs, above 0.4 for extremely colourful ones. Differentiable.
    """
    opponents = opponent_colours(images).flatten(2)  # (2, batch, pixels)
    spread = norm(opponents.std(-1, correction=0))
    return spread + 0.3 * norm(opponents.mean(-1))


def norm(pairs: torch.Tensor) -> Scores:
    """Norm over the first dimension, with a finite gradient at zero."""
    return (pairs.square().sum(0) + 1e-12).sqrt()


class Colourfulness:
    """Rewards vivid colours, independent of the prompt."""

    name = "colourfulness"
    axis = "aesthetic"
    differentiable = True

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        return colourfulness(images)
