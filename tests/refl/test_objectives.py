"""Every objective against finite differences and closed forms, and what it may keep in memory."""

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from refl import lora
from refl.backpropagate import Outcome, backpropagate
from refl.balance import balanced
from refl.chain import Chain, Estimator, Visit, base_velocity, bounds, late_step
from refl.learner import Learner
from refl.objectives import estimator
from refl.objectives.nft import contrast, nft, optimality
from refl.objectives.nft import rewards as one_each
from rewardkit.base.sd3 import StableDiffusion3Base
from rewardkit.base.tiny import tiny_sd3
from rewardkit.errors import UserError
from rewardkit.reward import Panel, Part
from rewardkit.sampling import Unconditional, guided, sample
from rewardkit.simple_rewards import Colourfulness

PROMPTS = ["a red circle", "a blue square"]
GRADIENT = ("refl", "draft-k", "draft-lv", "direct-align", "drtune")
ALL = (*GRADIENT, "nft")


def streams(seed: int) -> Callable[[str], torch.Generator]:
    return lambda stream: torch.Generator().manual_seed(seed + sum(map(ord, stream)))


def chain_of(
    base: StableDiffusion3Base, *, steps: int = 4, guidance: float = 1.0, seed: int = 0,
    unconditional: Unconditional = "detached", prompts: Sequence[str] = PROMPTS,
) -> Chain:  # fmt: skip
    told, empty = base.encode(list(prompts)), base.encode([""])
    noise = base.noise(len(prompts), torch.Generator().manual_seed(seed))
    velocity = guided(base, told, empty, guidance, unconditional)
    return Chain(velocity, velocity, noise, base.sigmas(steps).to(noise), streams(seed))


def way(name: Any, *, window: tuple[float, float] = (0.5, 0.75), grad_steps: int = 2, noises: int = 2) -> Estimator:
    return estimator(name, window=window, grad_steps=grad_steps, noises=noises)


def outcome_of(
    base: StableDiffusion3Base, reward: Any, name: str = "refl", *, kl: float = 0.0, group: int = 2, std: float = 0.1,
    ways: dict[str, Any] | None = None, **options: Any,
) -> Outcome:  # fmt: skip
    panel = Panel([reward], {"redness": Part(std=reward.scale * std)})
    prompts = PROMPTS if name != "nft" else [prompt for prompt in PROMPTS for _ in range(group)]
    chain = chain_of(base, prompts=prompts, **options)
    if name == "nft":
        return nft(
            chain, base.decode, panel, prompts, denoiser=base.denoiser, old=nullcontext, group=group, noises=2,
            window=(0.0, 1.0), kl=kl,
        )  # fmt: skip
    return backpropagate(chain, way(name, **(ways or {})), base.decode, panel, prompts, denoiser=base.denoiser, kl=kl)


class Recorded(nn.Module):
    """A linear velocity `speed * x`, whose sampling has a closed form; remembers where it was asked with a graph."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self.speed = nn.Parameter(torch.tensor(speed, dtype=torch.float64))
        self.seen: list[float] = []

    def forward(self, latents: Tensor, sigma: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            self.seen.append(round(sigma[0].item(), 6))
        return self.speed * latents


def toy(speed: float = 0.7, steps: int = 4) -> tuple[Recorded, Chain]:
    velocity = Recorded(speed)
    sigmas = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    return velocity, Chain(velocity, velocity, torch.ones(1, 1, 1, 1, dtype=torch.float64), sigmas, streams(0))


def slope_of(velocity: Recorded, latents: Tensor) -> float:
    (gradient,) = torch.autograd.grad(latents.sum(), velocity.speed)
    return gradient.item()


def test_refl_differentiates_one_step_and_skips_the_rest() -> None:
    """Two steps of x (1 - a/4), then x0 = x (1 - a/2): only the last factor is differentiated."""
    a, (velocity, chain) = 0.7, toy()
    latents = way("refl")(chain).latents
    held = (1 - a / 4) ** 2
    assert latents.item() == pytest.approx(held * (1 - a / 2))
    assert slope_of(velocity, latents) == pytest.approx(held * -1 / 2)
    assert velocity.seen == [0.5]


def test_draft_k_differentiates_the_last_steps_into_each_other() -> None:
    """x = (1 - a/4)^2 held, times (1 - a/4)^2 differentiated as a whole."""
    a, (velocity, chain) = 0.7, toy()
    latents = way("draft-k")(chain).latents
    assert latents.item() == pytest.approx((1 - a / 4) ** 4)
    assert slope_of(velocity, latents) == pytest.approx((1 - a / 4) ** 2 * 2 * (1 - a / 4) * -1 / 4)
    assert velocity.seen == [0.5, 0.25]


def test_drtune_never_differentiates_through_the_input() -> None:
    """As draft-k, but each step's input is held: the sum of the steps' own slopes."""
    a, (velocity, chain) = 0.7, toy()
    latents = way("drtune", window=(0.75, 1.0))(chain).latents
    x = [(1 - a / 4) ** i for i in range(5)]
    assert latents.item() == pytest.approx(x[4])
    assert velocity.seen == [0.75, 0.25]  # steps 1 and 3: two of the four, evenly, ending on the stop
    assert slope_of(velocity, latents) == pytest.approx(-(x[1] + x[3]) / 4)


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
    noisy = estimate.visits[0].noisy.item()
    assert slope_of(velocity, estimate.latents) == pytest.approx(-noisy / 3)


def test_draft_lv_averages_over_noises_at_the_last_level() -> None:
    velocity, chain = toy()
    estimate = way("draft-lv", noises=3)(chain)
    assert estimate.latents.shape == (3, 1, 1, 1)
    assert velocity.seen == [0.25] * 3
    noisy = torch.cat([visit.noisy for visit in estimate.visits])
    assert noisy.std() > 0.01
    torch.testing.assert_close(estimate.latents, noisy * (1 - 0.7 / 4))


def fields(chain: Chain) -> tuple[Tensor, Tensor, Callable[[str], torch.Generator]]:
    return chain.noise, chain.sigmas, chain.random


def double_base() -> tuple[StableDiffusion3Base, Callable[[Tensor], Tensor]]:
    """In float64, with a decoder kept inside its range, where it is smooth."""
    pipeline = tiny_sd3()
    pipeline.to(torch.float64)
    return StableDiffusion3Base(pipeline), lambda x: pipeline.vae.decode(x, return_dict=False)[0] / 20 + 0.5


@pytest.mark.parametrize(("name", "kl", "guidance"), [("refl", 3.0, 3.0), *((name, 0.0, 1.0) for name in GRADIENT)])
def test_the_gradient_is_that_of_finite_differences(
    redness: Callable, stir: Callable, name: str, kl: float, guidance: float
) -> None:
    """Prefix, drawn image and detached inputs are held fixed by drawing them from a copy that does not move."""
    (base, decode), (still, _) = double_base(), double_base()
    adapters = [
        lora.attach(each.denoiser, rank=2, alpha=2.0, targets=["to_v"], generator=torch.Generator())
        for each in (base, still)
    ]
    for adapter in adapters:
        stir(adapter)
    panel = Panel([redness()], {"redness": Part(std=0.01)})
    moving, held = (chain_of(each, guidance=guidance, unconditional="graph") for each in (base, still))
    chain = Chain(held.prefix, moving.window, *fields(moving))
    # What drtune's denoiser sees is held as well: with one trained step nothing moves before it.
    options: Any = {"window": (0.5, 0.75), "grad_steps": 1 if name == "drtune" else 2}

    def loss() -> Tensor:
        return backpropagate(chain, way(name, **options), decode, panel, PROMPTS, denoiser=base.denoiser, kl=kl).loss

    loss().backward()
    parameter = max(adapters[0].values(), key=lambda each: each.grad.abs().max().item())
    assert parameter.grad.view(-1)[parameter.grad.abs().argmax()].item() == pytest.approx(
        numeric(loss, parameter), rel=1e-5
    )


def numeric(loss: Callable[[], Tensor], parameter: nn.Parameter, epsilon: float = 1e-5) -> float:
    index, values = int(parameter.grad.abs().argmax()), []
    for move in (epsilon, -2 * epsilon):
        parameter.data.view(-1)[index] += move
        with torch.no_grad():
            values.append(loss().item())
    parameter.data.view(-1)[index] += epsilon
    assert abs(values[0] - values[1]) > 1e-11
    return (values[0] - values[1]) / (2 * epsilon)


def saved_bytes(base: StableDiffusion3Base, reward: Any, name: str, **options: Any) -> int:
    held = {}

    def pack(tensor: Tensor) -> Tensor:
        held[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        outcome = outcome_of(base, reward, name, **options)
    assert outcome.loss.requires_grad
    return sum(held.values())


@pytest.mark.parametrize("name", ALL)
def test_memory_does_not_grow_with_the_number_of_steps(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter], redness: Callable, name: str
) -> None:
    few = saved_bytes(base, redness(), name, steps=4)
    many = saved_bytes(base, redness(), name, steps=16)
    assert many <= few * 1.02


@pytest.mark.parametrize("name", ["draft-k", "drtune"])
def test_memory_is_linear_in_the_steps_with_a_graph(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter], redness: Callable, name: str
) -> None:
    held = [
        saved_bytes(base, redness(), name, steps=4, ways={"grad_steps": k, "window": (0.75, 1.0)}) for k in (1, 2, 4)
    ]
    assert held[1] - held[0] > 0
    assert (held[2] - held[1]) / (held[1] - held[0]) == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize("name", ALL)
def test_only_the_adapter_gets_a_gradient(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter], redness: Callable, stir: Callable, name: str
) -> None:
    stir(adapter, 0.05)
    outcome_of(base, redness(), name).loss.backward()
    assert all(parameter.grad is not None for parameter in adapter.values())
    assert any(parameter.grad.abs().max() > 0 for parameter in adapter.values())
    others = [p for n, p in base.denoiser.named_parameters() if n not in adapter] + list(base.pipeline.vae.parameters())
    assert all(parameter.grad is None for parameter in others)


@pytest.mark.parametrize("name", ALL)
def test_redness_rises_within_a_few_updates(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter], redness: Callable, name: str
) -> None:
    """The same prompts and noise before and after, whatever the objective drew in between."""
    learner = Learner(adapter, lr=6e-2 if name == "nft" else 2e-2, warmup=1, clip=1.0, ema=0.0)
    told = base.encode(PROMPTS)

    def level() -> float:
        with torch.no_grad():
            noise = base.noise(2, torch.Generator().manual_seed(99))
            velocity = guided(base, told, told, 1.0)
            return redness().score(base.decode(sample(velocity, noise, base.sigmas(4))), PROMPTS).mean().item()

    before = level()
    for seed in range(6):
        learner.update(outcome_of(base, redness(), name, seed=seed, group=8).loss)
    assert level() > before + 0.01


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
    outcome = backpropagate(chain_of(base), way("refl"), base.decode, panel, PROMPTS, denoiser=base.denoiser)
    assert outcome.loss.item() == 0
    learner = Learner(adapter, lr=1e-2, warmup=1, clip=1.0, ema=0.0)
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


@pytest.mark.parametrize("name", ["refl", "draft-lv", "nft"])
def test_a_reward_that_is_not_a_number_names_the_prompt(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter], name: str
) -> None:
    with pytest.raises(UserError, match=r"redness.*nan for sample \d.*a blue square"):
        outcome_of(base, Broken(), name)


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
        bounds(4, window)


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


def test_a_balanced_panel_pulls_the_pixels_as_its_weights_say(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter]
) -> None:
    """A reward a thousand times as steep in the pixels, of the same spread: unbalanced it drowns the other."""

    class Steep:
        axis = "aesthetic"
        differentiable = True

        def __init__(self, name: str, channel: int, factor: float) -> None:
            self.name, self.channel, self.factor = name, channel, factor

        def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
            return self.factor * images[:, self.channel].mean((1, 2))

    parts = {"red": Part(target=1e6), "green": Part(target=1e6, weight=3.0)}
    panel = Panel([Steep("red", 0, 1000.0), Steep("green", 1, 1.0)], parts)
    images = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    raw = panel.raw(images, PROMPTS)
    loss = balanced(panel, raw, PROMPTS, images)
    assert loss.item() == pytest.approx(panel.loss(raw, PROMPTS).item())
    (gradient,) = torch.autograd.grad(loss, images)
    red, green, blue = (gradient[:, i].norm().item() for i in range(3))
    assert green / red == pytest.approx(3.0, rel=1e-4)
    assert blue == 0


def test_a_balanced_panel_of_one_is_the_panel(base: StableDiffusion3Base, adapter: dict[str, nn.Parameter]) -> None:
    panel, gradients = Panel([Colourfulness()]), []
    run = partial(backpropagate, chain_of(base), way("refl"), base.decode, panel, PROMPTS, denoiser=base.denoiser)
    for balance in (False, True):
        base.denoiser.zero_grad()
        run(balance=balance).loss.backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in adapter.items()})
    for name in adapter:
        torch.testing.assert_close(gradients[0][name], gradients[1][name], rtol=1e-4, atol=1e-8)
