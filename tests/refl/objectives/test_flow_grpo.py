"""Flow-GRPO: noisy steps keep the law of every level, and likelihoods are normal."""

import pytest
import torch
from torch import Tensor, nn

from refl.objectives.chain import Chain
from refl.objectives.flow_grpo import SPREAD, SdeStep, begin, centre, log_likelihood, sde_steps
from rewardkit.diffusion.families.sd3 import StableDiffusion3Base
from rewardkit.errors import UserError
from tests.refl.chains import outcome_of, streams

DATA = 0.5
"""Standard deviation of images from a normal law, whose best velocity has a closed form."""


def level(sigma: float) -> float:
    """Variance of noised images."""
    return (1 - sigma) ** 2 * DATA**2 + sigma**2


def best(latents: Tensor, sigma: Tensor) -> Tensor:
    """Mean of noise minus image, given the noised image."""
    share = sigma.view(-1, 1, 1, 1)
    return (share - (1 - share) * DATA**2) / ((1 - share) ** 2 * DATA**2 + share**2) * latents


@pytest.mark.parametrize("sigma", [0.9, 0.5, 0.1])
def test_a_noisy_step_keeps_the_law_of_every_noise_level(sigma: float) -> None:
    """The variance after a step is that of the next level, but for an error that falls with the step's square."""
    errors = []
    for size in (0.02, 0.01):
        sigmas = torch.tensor([1.0, sigma, sigma - size, 0.0], dtype=torch.float64)
        chain = Chain(best, best, torch.ones(100_000, 1, 1, 1, dtype=torch.float64), sigmas, streams(0))
        (step,) = sde_steps(chain, chain.noise, [1])
        mean = centre(step.start, best(step.start, step.sigma.expand(1)), step.sigma, step.following, step.spread)
        spread = SPREAD**2 * sigma / (1 - sigma) * size
        assert (step.end - mean).var().item() == pytest.approx(spread, rel=0.02)
        errors.append(mean[0].item() ** 2 * level(sigma) + spread - level(sigma - size))
    assert abs(errors[0]) < 0.02
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.15)


def test_the_first_step_borrows_the_noise_that_it_has_no_end_of() -> None:
    sigmas = torch.tensor([1.0, 0.75, 0.5, 0.0])
    chain = Chain(best, best, torch.zeros(2, 1, 2, 2), sigmas, streams(0))
    first, second = sde_steps(chain, chain.noise, [0, 1])
    assert first.spread.item() == pytest.approx(SPREAD * 4**0.5)
    assert second.spread.item() == pytest.approx(SPREAD * 3**0.5)
    assert torch.equal(first.end, second.start)


def test_the_likelihood_is_that_of_a_normal_law() -> None:
    start, end, velocity = (torch.randn(2, 1, 2, 2, generator=torch.Generator().manual_seed(i)) for i in range(3))
    step = SdeStep(start, end, torch.tensor(0.5), torch.tensor(0.25), torch.tensor(0.8))
    # d = -0.25, s^2 = 0.64: x + (v + 0.64 (x + v / 2)) d, with a standard deviation of 0.8 / 2
    law = torch.distributions.Normal(start - 0.25 * (velocity + 0.64 * (start + 0.5 * velocity)), 0.4)
    constant = law.log_prob(law.mean).mean((1, 2, 3))
    assert torch.allclose(log_likelihood(step, velocity), law.log_prob(end).mean((1, 2, 3)) - constant, atol=1e-6)


def test_noisy_steps_lie_side_by_side_in_the_window_and_never_last() -> None:
    starts = {begin(10, (0.5, 1.0), 2, torch.Generator().manual_seed(seed)) for seed in range(60)}
    assert starts == {5, 6, 7}
    with pytest.raises(UserError, match=r"grad_steps must be between 1 and 4.*got 5"):
        begin(10, (0.5, 1.0), 5, torch.Generator())


def test_images_of_a_prompt_part_ways_at_the_noisy_steps(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter]
) -> None:
    """Up to there they are one image, and the ways after are all different."""
    seen: list[Tensor] = []

    class Watching:
        name, axis, differentiable, scale = "redness", "aesthetic", False, 1.0

        def score(self, images: Tensor, prompts: list[str]) -> Tensor:
            seen.append(images)
            return images[:, 0].mean((1, 2))

    outcome_of(base, Watching(), "flow-grpo", group=3)
    firsts, seconds = seen[0].chunk(2)
    assert all(not torch.equal(group[0], other) for group in (firsts, seconds) for other in group[1:])
