"""Objectives that compare images of a prompt: what each is worth, and that no reward is differentiated."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from refl.objectives.groups import advantages, rewards
from rewardkit.diffusion.families.sd3 import StableDiffusion3Base
from rewardkit.rewards.panel import Panel, Part
from tests.refl.chains import COMPARING, PROMPTS, outcome_of


@pytest.mark.parametrize("name", COMPARING)
def test_a_reward_without_a_gradient_is_climbed(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter], redness: Callable, name: str
) -> None:
    """Nothing of the reward is differentiated: one that cuts the graph gives the very same gradient."""

    class Blind(redness):  # type: ignore[misc, valid-type]
        differentiable = False

        def score(self, images: Tensor, prompts: list[str]) -> Tensor:
            return super().score(images.detach(), prompts)

    gradients = []
    for reward in (redness(), Blind()):
        base.denoiser.zero_grad()
        outcome_of(base, reward, name).loss.backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in adapter.items()})
    assert all(torch.equal(gradients[0][name], gradients[1][name]) for name in adapter)
    assert any(gradient.abs().max() > 0 for gradient in gradients[0].values())


def test_advantages_are_within_a_prompt_and_over_the_spread_of_the_batch() -> None:
    """Two prompts, two images each: centred -1, 1, 0, 0; their standard deviation is sqrt(2/3)."""
    above = advantages(torch.tensor([3.0, 5.0, 7.0, 7.0], dtype=torch.float64), 2)
    assert above.tolist() == pytest.approx([-(1.5**0.5), 1.5**0.5, 0.0, 0.0])


def test_weights_and_targets_count_image_by_image() -> None:
    class Two:
        name = "two"
        axes: tuple[str, ...] = ("alignment", "aesthetic")
        differentiable = False

        def scores(self, images: Tensor, prompts: Sequence[str]) -> dict[str, Tensor]:
            return {"alignment": torch.tensor([0.0, 5.0]), "aesthetic": torch.tensor([1.0, 0.0])}

    panel = Panel([Two()], {"two.alignment": Part(weight=2.0, target=2.0), "two.aesthetic": Part(target=3.0)})
    raw = panel.raw(torch.zeros(2, 3, 2, 2), PROMPTS)
    assert rewards(panel, raw, PROMPTS).tolist() == [-(2 * 2.0 + 2.0), -3.0]
