"""DiffusionNFT: how good an image is, and which way it pulls."""

import math

import pytest
import torch

from refl.objectives.chain import GradStep
from refl.objectives.nft import contrast, optimality


def test_nft_says_how_good_an_image_is_among_those_of_its_prompt() -> None:
    """Two prompts, two images each: centred -1, 1, 0, 0; their standard deviation is sqrt(2/3)."""
    good = optimality(torch.tensor([3.0, 5.0, 7.0, 7.0], dtype=torch.float64), 2)
    assert good.tolist() == [0.0, 1.0, 0.5, 0.5]
    mild = optimality(torch.tensor([0.0, 1.0, 0.0, 3.0], dtype=torch.float64), 2)
    spread = math.sqrt((2 * 0.5**2 + 2 * 1.5**2) / 3)
    assert mild.tolist() == pytest.approx([0.5 - 0.25 / spread, 0.5 + 0.25 / spread, 0.0, 1.0])


def test_nft_moves_towards_a_good_image_and_away_from_a_bad_one() -> None:
    """At the old policy: half towards plus, half away; with r the weights, the gradient's sign is that of 2 r - 1."""
    target, before_update = torch.full((1, 1, 1, 1), 3.0), torch.ones(1, 1, 1, 1)
    slopes = []
    for good in (1.0, 0.5, 0.0):
        velocity = before_update.clone().requires_grad_()
        grad_step = GradStep(before_update, torch.full((1,), 0.5), velocity)
        contrast(grad_step, before_update, target, torch.tensor([good])).backward()
        slopes.append(velocity.grad.item())
    # error -1 in the image estimate, over a mean absolute error of 1: d(e^2)/dv = 2 * (-1) * 0.5
    assert slopes == pytest.approx([-1.0, 0.0, 1.0])
