"""One ReFL update on shapes only: prefix, window, decode, rewards, and their backward passes.

The order and the functions are those of a run (`rewardkit.diffusion.sampling`, the family's four verbs); the weights
are not in these accounts, because they are static.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol, runtime_checkable

import torch
from peft import LoraConfig
from torch import Tensor, nn

from rewardkit.diffusion.base import Base
from rewardkit.diffusion.checkpointing import checkpoint_blocks, decode_by_image, switchable
from rewardkit.diffusion.sampling import clean, guided, sample
from rewardkit.plan.conditioning import conditioning
from rewardkit.plan.dry import META, Account, DryRun, Kernels
from rewardkit.plan.layers import measured
from rewardkit.types import Latents


@runtime_checkable
class Meter(Protocol):
    """Measures a phase: a dry run here, memory of a real device in `benchmarks/plan_check.py`."""

    def phase(self, name: str) -> AbstractContextManager[object]:
        """Measure the block."""
        ...


Branches = Literal["off", "detached", "graph"]


@dataclass(frozen=True)
class Step:
    """The simulated update."""

    batch_size: int
    size: int
    grad_steps: int
    guidance: float
    window_guidance: Branches
    tokens: int
    dtype: torch.dtype
    kernels: Kernels


def attach(base: Base, rank: int, targets: Sequence[str]) -> list[nn.Parameter]:
    """Add a LoRA with weights in float32, as in a run; nothing else gets a gradient."""
    base.denoiser.requires_grad_(False)
    with torch.device(META):
        base.denoiser.add_adapter(  # type: ignore[operator]
            LoraConfig(r=rank, lora_alpha=rank, target_modules=list(targets))
        )
    lora = [parameter for name, parameter in base.denoiser.named_parameters() if ".lora_" in name]
    for parameter in lora:
        parameter.data = parameter.data.float()
    return lora


def denoise(base: Base, step: Step, checkpointing: bool, whole: bool = False) -> dict[str, Account]:
    """Account "prefix" (one step of it), "window" and "window backward"; `whole` runs every layer."""
    switch(base.denoiser, checkpointing)
    run = partial(denoise_once, base, step)
    return run() if whole else measured(base.denoiser, run)


def denoise_once(base: Base, step: Step) -> dict[str, Account]:
    with DryRun(step.kernels) as dry:
        dry.leave_out(base.denoiser)
        run_denoiser(dry, base, step, META)
    return dry.phases


def run_denoiser(meter: Meter, base: Base, step: Step, device: torch.device) -> None:
    """Run one step without a graph, the window's steps with one, and the backward pass; on any device."""
    asked = conditioning(base, step.batch_size, step.tokens, step.dtype, device)
    empty = conditioning(base, 1, step.tokens, step.dtype, device)
    noisy, sigmas = latents(base, step, device), torch.full((step.grad_steps + 1,), 0.5)
    scale = 1.0 if step.window_guidance == "off" and not base.distilled_guidance else step.guidance
    unconditional: Literal["graph", "detached"] = "graph" if step.window_guidance == "graph" else "detached"
    with meter.phase("prefix"), torch.no_grad():
        noisy = sample(guided(base, asked, empty, step.guidance), noisy, sigmas.to(device), stop=1)
    with meter.phase("window"):
        window = guided(base, asked, empty, scale, unconditional)
        arrived = sample(window, noisy, sigmas.to(device), stop=step.grad_steps - 1, grad_steps=step.grad_steps - 1)
        level = sigmas[-1:].expand(step.batch_size).to(device)
        estimate = clean(arrived, level, window(arrived, level))
    with meter.phase("window backward"):
        estimate.backward(torch.zeros_like(estimate))


def decode(base: Base, vae: nn.Module, step: Step, checkpointing: bool) -> dict[str, Account]:
    """Account "decode" and "decode backward"."""
    switch(vae, checkpointing)
    with DryRun(step.kernels) as dry:
        dry.leave_out(vae)
        run_decoder(dry, base, step, META, one_by_one=checkpointing)
    return dry.phases


def run_decoder(meter: Meter, base: Base, step: Step, device: torch.device, one_by_one: bool = False) -> None:
    """Decode with a graph, and run the backward pass."""
    estimate = latents(base, step, device).requires_grad_()
    with meter.phase("decode"):
        images = decode_by_image(base.decode, estimate) if one_by_one else base.decode(estimate)
    with meter.phase("decode backward"):
        images.backward(torch.zeros_like(images))


def switch(network: nn.Module, checkpointing: bool) -> None:
    """Switch a network's gradient checkpointing on or off, if it has any."""
    if not switchable(network):
        return
    if checkpointing:
        checkpoint_blocks(network)
    else:
        network.disable_gradient_checkpointing()  # type: ignore[operator]


def reward(tower: nn.Module, step: Step) -> dict[str, Account]:
    """Account "rewards" and "rewards backward" of one tower."""
    with DryRun(step.kernels) as dry:
        dry.leave_out(tower)
        run_reward(dry, tower, step, META)
    return dry.phases


def run_reward(meter: Meter, tower: nn.Module, step: Step, device: torch.device) -> None:
    """Score images, and run the backward pass to the pixels."""
    images = torch.zeros(step.batch_size, 3, step.size, step.size, device=device).requires_grad_()
    with meter.phase("rewards"):
        scores: Tensor = tower(images)
    with meter.phase("rewards backward"):
        scores.backward(torch.zeros_like(scores))


def latents(base: Base, step: Step, device: torch.device) -> Latents:
    return base.noise(step.batch_size, torch.Generator(), step.size).to(device)
