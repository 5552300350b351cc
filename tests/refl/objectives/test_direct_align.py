"""Direct-Align: the image comes back exactly, and a step weighs what it removes."""

import pytest
import torch

from refl.objectives.chain import Chain
from rewardkit.diffusion.sampling import sample
from tests.refl.chains import fields, slope_of, toy, way


def test_direct_align_recovers_the_image_that_was_noised() -> None:
    """With the true velocity of the known noise the estimate is the drawn image, at every level of noise."""
    velocity, chain = toy(steps=5)
    drawn = sample(velocity, chain.noise, chain.sigmas).detach()
    known = torch.randn(drawn.shape, generator=chain.random("renoise")).to(drawn)
    truth = Chain(velocity, lambda latents, sigma: known - drawn + 0 * velocity.speed, *fields(chain))
    for step in range(5):
        latents = way("direct-align", window=(step / 5, (step + 1) / 5))(truth).latents
        torch.testing.assert_close(latents, drawn)


def test_direct_align_weighs_the_step_by_what_it_removes() -> None:
    """d x0 / d v = (sigma' - sigma) / (1 - sigma'): from 0.5 down to 0.25, a third."""
    velocity, chain = toy()
    estimate = way("direct-align", window=(0.5, 0.75))(chain)
    noisy = estimate.graph_steps[0].noisy.item()
    assert slope_of(velocity, estimate.latents) == pytest.approx(-noisy / 3)
