"""What a batch's loss makes of scales, targets, NaNs and the distance to the base."""

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from refl.learner import lora_learner
from refl.objectives.chain import base_velocity
from rewardkit.diffusion.families.sd3 import StableDiffusion3Base
from rewardkit.diffusion.sampling import guided
from rewardkit.errors import UserError
from rewardkit.rewards.panel import Panel, Part
from tests.refl.chains import ALL, PROMPTS, chain_of, loss_of, made, outcome_of


@pytest.mark.parametrize("name", ALL)
def test_kl_is_zero_at_the_base_and_positive_away_from_it(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter], stir: Callable, redness: Callable, name: str
) -> None:
    assert outcome_of(base, redness(), name, kl=1.0).kl.item() == 0
    stir(adapter)
    away = outcome_of(base, redness(), name, kl=1.0)
    assert away.kl.item() > 0
    assert away.loss.item() == pytest.approx(outcome_of(base, redness(), name).loss.item() + away.kl.item(), rel=1e-5)


def test_the_anchor_is_the_base_model(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter], stir: Callable
) -> None:
    noise, told = base.noise(2, torch.Generator()), base.encode(PROMPTS)
    at = noise, torch.full((2,), 0.5)
    velocity = guided(base, told, told, 1.0)
    before = velocity(*at).detach()
    stir(adapter)
    anchor = base_velocity(velocity, *at, base.denoiser)
    assert torch.equal(anchor, before)
    assert not anchor.requires_grad


def test_a_reward_times_100_gives_the_same_update(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter], redness: Callable
) -> None:
    """The z-score takes the scale out; without it the scale would act as a learning rate."""
    updates = []
    for scale in (1.0, 100.0):
        base.denoiser.zero_grad()
        outcome_of(base, redness(scale)).loss.backward()
        updates.append({name: parameter.grad.clone() for name, parameter in adapter.items()})
    for name in adapter:
        torch.testing.assert_close(updates[0][name], updates[1][name], rtol=1e-4, atol=1e-8)


def test_a_reward_at_its_target_pulls_no_more(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter], redness: Callable
) -> None:
    panel = Panel([redness()], {"redness": Part(target=-100.0)})
    outcome = loss_of(made("refl", kl=0.0), chain_of(base), base, panel)
    assert outcome.loss.item() == 0
    learner = lora_learner(adapter, lr=1e-2, warmup=1, clip=1.0, ema=0.0)
    before = {name: parameter.detach().clone() for name, parameter in adapter.items()}
    assert learner.update(outcome.loss) == 0
    assert all(torch.equal(before[name], parameter) for name, parameter in adapter.items())


class Broken:
    name = "redness"
    axis = "aesthetic"
    differentiable = True
    scale = 1.0

    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        factors = torch.ones(len(images))
        factors[-1] = math.nan
        return images.mean((1, 2, 3)) * factors


@pytest.mark.parametrize("name", ["refl", "draft-lv", "nft", "flow-grpo"])
def test_a_reward_that_is_not_a_number_names_the_prompt(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter], name: str
) -> None:
    with pytest.raises(UserError, match=r"redness.*nan for sample \d.*a blue square"):
        outcome_of(base, Broken(), name)
