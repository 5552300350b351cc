"""What the tests of objectives stand on: a batch of the tiny base, and a linear toy with a closed form."""

from collections.abc import Callable, Sequence
from typing import Any, get_args

import torch
from torch import Tensor, nn

from refl.objectives.chain import Chain, Estimate
from refl.objectives.objective import Batch, Objective, Outcome, new_objective
from refl.objectives.table import Method, ObjectiveName
from rewardkit.diffusion.families.sd3 import StableDiffusion3Base
from rewardkit.diffusion.sampling import Unconditional, guided
from rewardkit.diffusion.tiny.pipelines import tiny_sd3
from rewardkit.rewards.panel import Panel, Part

PROMPTS = ["a red circle", "a blue square"]
ALL: tuple[ObjectiveName, ...] = get_args(ObjectiveName)
GRADIENT = [name for name in ALL if new_objective(Method(objective=name)).differentiates]
COMPARING = [name for name in ALL if name not in GRADIENT]


def streams(seed: int) -> Callable[[str], torch.Generator]:
    return lambda stream: torch.Generator().manual_seed(seed + sum(map(ord, stream)))


def chain_of(
    base: StableDiffusion3Base,
    *,
    steps: int = 4,
    guidance: float = 1.0,
    seed: int = 0,
    unconditional: Unconditional = "detached",
    prompts: Sequence[str] = PROMPTS,
) -> Chain:
    conditioning, empty = base.encode(list(prompts)), base.encode([""])
    noise = base.noise(len(prompts), torch.Generator().manual_seed(seed))
    velocity = guided(base, conditioning, empty, guidance, unconditional)
    return Chain(velocity, velocity, noise, base.sigmas(steps).to(noise), streams(seed))


def made(name: Any, **options: Any) -> Any:
    """An objective; where a test does not say, of two steps or noises out of one quarter of the chain or all of it."""
    window = (0.5, 0.75) if name in GRADIENT else (0.0, 1.0)
    return new_objective(Method(**{"objective": name, "window": window, "grad_steps": 2, "noises": 2} | options))


def way(name: Any, **options: Any) -> Callable[[Chain], Estimate]:
    """The estimate of an objective with a gradient."""
    estimate: Callable[[Chain], Estimate] = made(name, **options).estimate
    return estimate


def loss_of(objective: Objective, chain: Chain, base: StableDiffusion3Base, panel: Panel, **more: Any) -> Outcome:
    """One batch of two prompts, each as often as the objective compares."""
    prompts = [prompt for prompt in PROMPTS for _ in range(objective.copies)]
    parts: dict[str, Any] = {"prompts": prompts, "decode": base.decode, "panel": panel, "denoiser": base.denoiser}
    return objective.loss(Batch(chain, **parts | more))


def outcome_of(
    base: StableDiffusion3Base,
    reward: Any,
    name: str = "refl",
    *,
    kl: float = 0.0,
    group: int = 2,
    std: float = 0.1,
    ways: dict[str, Any] | None = None,
    **options: Any,
) -> Outcome:
    objective = made(name, kl=kl, group=group, **(ways or {}))
    chain = chain_of(base, prompts=[prompt for prompt in PROMPTS for _ in range(objective.copies)], **options)
    return loss_of(objective, chain, base, Panel([reward], {"redness": Part(std=reward.scale * std)}))


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


def fields(chain: Chain) -> tuple[Tensor, Tensor, Callable[[str], torch.Generator]]:
    return chain.noise, chain.sigmas, chain.random


def double_base() -> tuple[StableDiffusion3Base, Callable[[Tensor], Tensor]]:
    """In float64, with a decoder kept inside its range, where it is smooth."""
    pipeline = tiny_sd3()
    pipeline.to(torch.float64)
    return StableDiffusion3Base(pipeline), lambda x: pipeline.vae.decode(x, return_dict=False)[0] / 20 + 0.5


def numeric(loss: Callable[[], Tensor], parameter: nn.Parameter, epsilon: float = 1e-5) -> float:
    index, values = int(parameter.grad.abs().argmax()), []
    for move in (epsilon, -2 * epsilon):
        parameter.data.view(-1)[index] += move
        with torch.no_grad():
            values.append(loss().item())
    parameter.data.view(-1)[index] += epsilon
    assert abs(values[0] - values[1]) > 1e-11
    return (values[0] - values[1]) / (2 * epsilon)
