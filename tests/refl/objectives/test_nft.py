"""DiffusionNFT: how good an image is, which way it pulls, and that no reward is differentiated."""

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from refl.chain import Visit
from refl.groups import rewards as one_each
from refl.objectives.nft import contrast, optimality
from rewardkit.base.sd3 import StableDiffusion3Base
from rewardkit.reward import Panel, Part
from tests.refl.chains import (
    PROMPTS,
    outcome_of,
)


def test_nft_says_how_good_an_image_is_among_those_of_its_prompt() -> None:
    """Two prompts, two images each: centred -1, 1, 0, 0; their standard deviation is sqrt(2/3)."""
    good = optimality(torch.tensor([3.0, 5.0, 7.0, 7.0], dtype=torch.float64), 2)
    assert good.tolist() == [0.0, 1.0, 0.5, 0.5]
    mild = optimality(torch.tensor([0.0, 1.0, 0.0, 3.0], dtype=torch.float64), 2)
    spread = math.sqrt((2 * 0.5**2 + 2 * 1.5**2) / 3)
    assert mild.tolist() == pytest.approx([0.5 - 0.25 / spread, 0.5 + 0.25 / spread, 0.0, 1.0])


def test_nft_moves_towards_a_good_image_and_away_from_a_bad_one() -> None:
    """At the old policy: half towards plus, half away; with r the weights, the gradient's sign is that of 2 r - 1."""
    target, held = torch.full((1, 1, 1, 1), 3.0), torch.ones(1, 1, 1, 1)
    slopes = []
    for good in (1.0, 0.5, 0.0):
        slope = held.clone().requires_grad_()
        visit = Visit(held, torch.full((1,), 0.5), slope)
        contrast(visit, held, target, torch.tensor([good])).backward()
        slopes.append(slope.grad.item())
    # error -1 in the image estimate, over a mean absolute error of 1: d(e^2)/dv = 2 * (-1) * 0.5
    assert slopes == pytest.approx([-1.0, 0.0, 1.0])


def test_nft_climbs_a_reward_without_a_gradient(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter], redness: Callable
) -> None:
    """Nothing of the reward is differentiated: one that cuts the graph gives the very same gradient."""

    class Blind(redness):  # type: ignore[misc, valid-type]
        differentiable = False

        def score(self, images: Tensor, prompts: list[str]) -> Tensor:
            return super().score(images.detach(), prompts)

    gradients = []
    for reward in (redness(), Blind()):
        base.denoiser.zero_grad()
        outcome_of(base, reward, "nft").loss.backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in adapter.items()})
    assert all(torch.equal(gradients[0][name], gradients[1][name]) for name in adapter)


def test_nft_counts_weights_and_targets_an_image() -> None:
    class Two:
        name = "two"
        axes: tuple[str, ...] = ("alignment", "aesthetic")
        differentiable = False

        def scores(self, images: Tensor, prompts: Sequence[str]) -> dict[str, Tensor]:
            return {"alignment": torch.tensor([0.0, 5.0]), "aesthetic": torch.tensor([1.0, 0.0])}

    panel = Panel([Two()], {"two.alignment": Part(weight=2.0, target=2.0), "two.aesthetic": Part(target=3.0)})
    raw = panel.raw(torch.zeros(2, 3, 2, 2), PROMPTS)
    assert one_each(panel, raw, PROMPTS).tolist() == [-(2 * 2.0 + 2.0), -3.0]
