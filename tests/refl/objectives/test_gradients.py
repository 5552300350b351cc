"""Every objective's gradient: that of finite differences, of the adapter alone, and one that climbs."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from refl.learner import lora_learner
from refl.objectives.chain import Chain
from rewardkit.diffusion import lora
from rewardkit.diffusion.families.sd3 import StableDiffusion3Base
from rewardkit.diffusion.sampling import guided, sample
from rewardkit.rewards.panel import Panel, Part
from tests.refl.chains import (
    ALL,
    COMPARING,
    GRADIENT,
    PROMPTS,
    chain_of,
    double_base,
    fields,
    loss_of,
    made,
    numeric,
    outcome_of,
)


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
    objective = made(name, kl=kl, grad_steps=1 if name == "drtune" else 2)

    def loss() -> Tensor:
        return loss_of(objective, chain, base, panel, decode=decode).loss

    loss().backward()
    parameter = max(adapters[0].values(), key=lambda each: each.grad.abs().max().item())
    assert parameter.grad.view(-1)[parameter.grad.abs().argmax()].item() == pytest.approx(
        numeric(loss, parameter), rel=1e-5
    )


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
    learner = lora_learner(adapter, lr=6e-2 if name in COMPARING else 2e-2, warmup=1, clip=1.0, ema=0.0)
    conditioning = base.encode(PROMPTS)

    def level() -> float:
        with torch.no_grad():
            noise = base.noise(2, torch.Generator().manual_seed(99))
            velocity = guided(base, conditioning, conditioning, 1.0)
            return redness().score(base.decode(sample(velocity, noise, base.sigmas(4))), PROMPTS).mean().item()

    before = level()
    for seed in range(6):
        learner.update(outcome_of(base, redness(), name, seed=seed, group=8).loss)
    assert level() > before + 0.01
