"""Sampling against closed forms: a straight path ends on the image, and the graph covers what it should."""

import pytest
import torch
from torch import Tensor

from rewardkit.diffusion.families.sd3 import StableDiffusion3Base
from rewardkit.diffusion.sampler import generate_images, image_seed
from rewardkit.diffusion.sampling import Unconditional, clean, concatenate, guided, sample
from rewardkit.diffusion.tiny.pipelines import tiny_sd3


@pytest.mark.parametrize("steps", [1, 3, 8])
def test_a_straight_path_ends_on_the_image(steps: int) -> None:
    image, noise = torch.randn(2, 2, 4, 8, 8)
    out = sample(lambda latents, sigma: noise - image, noise, torch.linspace(1, 0, steps + 1))
    torch.testing.assert_close(out, image)


@pytest.mark.parametrize("stop", [0, 2, 4])
def test_one_step_from_anywhere_on_a_straight_path_finds_the_image(stop: int) -> None:
    image, noise = torch.randn(2, 2, 4, 8, 8)
    sigmas = torch.tensor([1.0, 0.9, 0.6, 0.3, 0.0])
    noisy = sample(lambda latents, sigma: noise - image, noise, sigmas, stop=stop)
    torch.testing.assert_close(noisy, (1 - sigmas[stop]) * image + sigmas[stop] * noise)
    torch.testing.assert_close(clean(noisy, sigmas[stop].expand(2), noise - image), image)


@pytest.mark.parametrize("grad_steps", [1, 2, 4])
def test_the_gradient_covers_the_last_steps_only(grad_steps: int) -> None:
    """Each of the 4 steps moves by -speed / 4."""
    speed = torch.ones((), requires_grad=True)
    out = sample(
        lambda latents, sigma: speed.expand(1, 1, 1, 1),
        torch.zeros(1, 1, 1, 1),
        torch.linspace(1, 0, 5),
        grad_steps=grad_steps,
    )
    out.sum().backward()
    assert speed.grad.item() == pytest.approx(-grad_steps / 4)


def test_no_graph_unless_asked_for() -> None:
    speed = torch.ones(1, 1, 1, 1, requires_grad=True)
    assert not sample(lambda latents, sigma: speed, torch.zeros(1, 1, 1, 1), torch.linspace(1, 0, 5)).requires_grad


@pytest.mark.parametrize(("stop", "grad_steps"), [(5, 0), (-1, 0), (2, 3)])
def test_steps_out_of_range_are_refused(stop: int, grad_steps: int) -> None:
    with pytest.raises(ValueError, match="must be between"):
        sample(
            lambda latents, sigma: latents,
            torch.zeros(1, 1, 1, 1),
            torch.linspace(1, 0, 5),
            stop=stop,
            grad_steps=grad_steps,
        )


class Linear(StableDiffusion3Base):
    """A base whose velocity is its conditioning: guidance has a closed form."""

    def velocity(self, latents: Tensor, sigma: Tensor, conditioning: dict[str, Tensor]) -> Tensor:
        return conditioning["told"].view(-1, 1, 1, 1) * torch.ones_like(latents)


@pytest.mark.parametrize("unconditional", ["graph", "detached"])
def test_guidance_moves_away_from_the_empty_prompt(unconditional: Unconditional) -> None:
    conditioning = torch.tensor([2.0, 3.0], requires_grad=True)
    empty = torch.tensor([1.0], requires_grad=True)
    base = Linear(tiny_sd3())
    velocity = guided(base, {"told": conditioning}, {"told": empty}, 4.0, unconditional)
    out = velocity(torch.zeros(2, 1, 1, 1), torch.ones(2)).flatten()
    assert out.tolist() == [5, 9]  # u + 4 (c - u)
    out.sum().backward()
    assert conditioning.grad.tolist() == [4, 4]
    # d/du = 1 - 4 for each of two images, or nothing.
    assert (empty.grad.tolist() == [-6]) if unconditional == "graph" else empty.grad is None


def test_noise_of_an_image_depends_on_seed_and_place_only() -> None:
    base = StableDiffusion3Base(tiny_sd3())
    prompts = ["a red circle", "a blue square", "a star"]
    together = generate_images(base, prompts, steps=2, seed=5, batch_size=3)
    apart = generate_images(base, prompts, steps=2, seed=5, batch_size=1)
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=0)
    other = generate_images(base, prompts, steps=2, seed=6)
    assert (together - other).abs().max() > 0.01


def test_seeds_of_images_do_not_meet() -> None:
    seeds = {image_seed(seed, index) for seed in range(20) for index in range(50)}
    assert len(seeds) == 1000


def test_joining_pads_the_shorter_tokens() -> None:
    rows = [
        {"embeds": torch.ones(1, 2, 3), "mask": torch.ones(1, 2, dtype=torch.bool), "pooled": torch.ones(1, 4)},
        {"embeds": torch.ones(2, 1, 3), "mask": torch.ones(2, 1, dtype=torch.bool), "pooled": torch.zeros(2, 4)},
    ]
    joined = concatenate(rows)
    assert joined["embeds"].shape == (3, 2, 3)
    assert joined["embeds"][1:, 1].eq(0).all()
    assert joined["mask"].tolist() == [[True, True], [True, False], [True, False]]
    assert joined["pooled"].shape == (3, 4)
