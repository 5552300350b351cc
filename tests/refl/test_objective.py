"""The objective against finite differences, and what it may keep in memory."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from refl import lora
from refl.augment import augment, blur, shift
from refl.learner import Learner
from refl.objective import Chain, Outcome, base_velocity, late_step, refl
from rewardkit.base.sd3 import StableDiffusion3Base
from rewardkit.base.tiny import tiny_sd3
from rewardkit.errors import UserError
from rewardkit.reward import Panel, Part
from rewardkit.sampling import Unconditional, guided

PROMPTS = ["a red circle", "a blue square"]


def chain_of(
    base: StableDiffusion3Base,
    *,
    steps: int = 4,
    late: int = 2,
    guidance: float = 1.0,
    seed: int = 0,
    unconditional: Unconditional = "detached",
) -> Chain:
    told, empty = base.encode(PROMPTS), base.encode([""])
    noise = base.noise(len(PROMPTS), torch.Generator().manual_seed(seed))
    velocity = guided(base, told, empty, guidance, unconditional)
    return Chain(velocity, velocity, noise, base.sigmas(steps).to(noise), late)


def outcome_of(base: StableDiffusion3Base, reward: Any, **options: Any) -> Outcome:
    kl = options.pop("kl", 0.0)
    panel = Panel([reward], {"redness": Part(std=reward.scale * 0.1)})
    return refl(chain_of(base, **options), base.decode, panel, PROMPTS, denoiser=base.denoiser, kl=kl)


@pytest.mark.parametrize("kl", [0.0, 3.0])
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_the_gradient_is_that_of_finite_differences(
    redness: Callable, stir: Callable, kl: float, guidance: float
) -> None:
    """At the first step there is no prefix to hold fixed; the decoder is kept inside its range, where it is smooth."""
    pipeline = tiny_sd3()
    pipeline.to(torch.float64)
    base = StableDiffusion3Base(pipeline)
    adapter = lora.attach(base.denoiser, rank=2, alpha=2.0, targets=["to_v"], generator=torch.Generator())
    stir(adapter)
    panel = Panel([redness()], {"redness": Part(std=0.01)})
    chain = chain_of(base, late=0, guidance=guidance, unconditional="graph")

    def decode(latents: Tensor) -> Tensor:
        return pipeline.vae.decode(latents, return_dict=False)[0] / 20 + 0.5

    def loss() -> Tensor:
        return refl(chain, decode, panel, PROMPTS, denoiser=base.denoiser, kl=kl).loss

    loss().backward()
    for parameter in list(adapter.values())[:4]:
        index, epsilon = int(parameter.grad.abs().argmax()), 1e-5
        values = []
        for move in (epsilon, -2 * epsilon):
            parameter.data.view(-1)[index] += move
            values.append(loss().item())
        parameter.data.view(-1)[index] += epsilon
        numeric = (values[0] - values[1]) / (2 * epsilon)
        assert abs(numeric) > 1e-6
        assert parameter.grad.view(-1)[index].item() == pytest.approx(numeric, rel=1e-5)


def test_the_prefix_carries_no_gradient(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter], stir: Callable, redness: Callable
) -> None:
    """The prefix is the policy's own, and yet the gradient is that of a prefix drawn by anyone else."""
    stir(adapter)
    outcome_of(base, redness(), late=3).loss.backward()
    whole = {name: parameter.grad.clone() for name, parameter in adapter.items()}
    noisy = base.noise(2, torch.Generator().manual_seed(0))
    told, sigmas = base.encode(PROMPTS), base.sigmas(4)
    for i in range(3):
        with torch.no_grad():
            noisy = noisy + (sigmas[i + 1] - sigmas[i]) * base.velocity(noisy, sigmas[i].expand(2), told)
    base.denoiser.zero_grad()
    slope = base.velocity(noisy, sigmas[3].expand(2), told)
    score = redness().score(base.decode(noisy - sigmas[3] * slope), PROMPTS)
    torch.relu(2 - score / 0.1).mean().backward()
    for name, parameter in adapter.items():
        torch.testing.assert_close(parameter.grad, whole[name], atol=1e-6, rtol=1e-4)


def saved_bytes(base: StableDiffusion3Base, reward: Any, **options: Any) -> int:
    held = {}

    def pack(tensor: Tensor) -> Tensor:
        held[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        outcome = outcome_of(base, reward, **options)
    assert outcome.loss.requires_grad
    return sum(held.values())


def test_memory_does_not_grow_with_the_number_of_steps(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter], redness: Callable
) -> None:
    few = saved_bytes(base, redness(), steps=2, late=1)
    many = saved_bytes(base, redness(), steps=16, late=15)
    assert many <= few * 1.05


def test_kl_is_zero_at_the_base_and_positive_away_from_it(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter], stir: Callable, redness: Callable
) -> None:
    assert outcome_of(base, redness(), kl=1.0).kl.item() == 0
    stir(adapter)
    away = outcome_of(base, redness(), kl=1.0)
    assert away.kl.item() > 0
    assert away.loss.item() == pytest.approx(outcome_of(base, redness()).loss.item() + away.kl.item(), rel=1e-5)


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


def test_redness_rises_within_a_few_steps(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter], redness: Callable
) -> None:
    learner = Learner(adapter, lr=2e-2, warmup=1, clip=1.0, ema=0.0)
    scores = []
    for _ in range(8):
        outcome = outcome_of(base, redness())
        scores.append(outcome.raw["redness"].mean().item())
        learner.update(outcome.loss)
    assert scores[-1] > scores[0] + 0.02
    assert scores[-1] > max(scores[:3])


def test_a_reward_at_its_target_pulls_no_more(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter], redness: Callable
) -> None:
    panel = Panel([redness()], {"redness": Part(target=-100.0)})
    outcome = refl(chain_of(base), base.decode, panel, PROMPTS, denoiser=base.denoiser)
    assert outcome.loss.item() == 0
    learner = Learner(adapter, lr=1e-2, warmup=1, clip=1.0, ema=0.0)
    before = {name: parameter.detach().clone() for name, parameter in adapter.items()}
    assert learner.update(outcome.loss) == 0
    assert all(torch.equal(before[name], parameter) for name, parameter in adapter.items())


class Broken:
    name = "broken"
    axis = "aesthetic"
    differentiable = True

    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        return images.mean((1, 2, 3)) * torch.tensor([1.0, float("nan")])


def test_a_reward_that_is_not_a_number_names_the_prompt(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter]
) -> None:
    with pytest.raises(UserError, match=r"broken.*nan.*a blue square"):
        refl(chain_of(base), base.decode, Panel([Broken()]), PROMPTS, denoiser=base.denoiser)


@pytest.mark.parametrize(
    ("steps", "window", "wanted"),
    [(40, (0.75, 1.0), set(range(30, 40))), (4, (0.5, 1.0), {2, 3}), (10, (0.3, 0.6), {3, 4, 5}), (1, (0.5, 1.0), {0})],
)
def test_the_late_step_is_drawn_from_the_whole_window(
    steps: int, window: tuple[float, float], wanted: set[int]
) -> None:
    generator = torch.Generator().manual_seed(0)
    assert {late_step(steps, window, generator) for _ in range(400)} == wanted


@pytest.mark.parametrize("window", [(0.5, 0.5), (-0.1, 1.0), (0.5, 1.1)])
def test_a_window_that_is_none_is_refused(window: tuple[float, float]) -> None:
    with pytest.raises(UserError, match="window"):
        late_step(4, window, torch.Generator())


def test_augmenting_changes_little_and_passes_gradients() -> None:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)).mul(0.5).add(0.25).requires_grad_()
    out = augment(images, torch.Generator().manual_seed(1))
    out.sum().backward()
    assert 0.001 < (out - images).abs().mean() < 0.2
    assert images.grad.abs().min() > 0
    assert torch.equal(out, augment(images, torch.Generator().manual_seed(1)))
    assert augment(images, torch.Generator(), strength=0.0) is images


def test_a_shift_by_whole_pixels_moves_the_image() -> None:
    images = torch.rand(1, 3, 8, 8)
    moved = shift(images, torch.tensor([[2 / 8, 0.0]]))
    torch.testing.assert_close(moved[..., :6], images[..., 2:], atol=1e-5, rtol=0)


def test_blur_keeps_the_mean_and_a_flat_image() -> None:
    flat = torch.full((2, 3, 8, 8), 0.3)
    torch.testing.assert_close(blur(flat, torch.tensor([0.0, 0.6])), flat)
    point = torch.zeros(2, 3, 9, 9)
    point[:, :, 4, 4] = 1
    out = blur(point, torch.tensor([0.0, 0.6]))
    torch.testing.assert_close(out[0], point[0])
    assert out[1, 0, 4, 4] < 0.7
    assert out[1].sum((1, 2)).tolist() == pytest.approx([1, 1, 1])
