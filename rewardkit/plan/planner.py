"""From a config to a plan: static memory, the memory of each phase, and the time of an update."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import nn

from rewardkit.diffusion.base import Base
from rewardkit.plan import simulate
from rewardkit.plan.bases import Recipe, build, recipe
from rewardkit.plan.cards import CARDS, seconds
from rewardkit.plan.config import PlanConfig
from rewardkit.plan.dry import Account, Kernels
from rewardkit.plan.towers import Tower

GIB = 2**30

RESERVE = 0.05
"""Fraction of a card's memory reserved for the driver's context, libraries' workspaces and fragmentation."""

Accounts = Mapping[str, Account]


@dataclass(frozen=True)
class Phase:
    """One phase of an update."""

    name: str
    times: int
    peak: int
    """Peak bytes on the device, including everything."""
    graph: int
    """Bytes saved for the backward pass."""
    flops: int
    """FLOPs of all repetitions."""
    seconds: float
    """Estimate for all repetitions."""


@dataclass(frozen=True)
class Plan:
    """The expected needs of a run."""

    config: PlanConfig
    parameters: Mapping[str, int]
    """Weights by part."""
    resident: Mapping[str, int]
    """Static bytes by part."""
    phases: tuple[Phase, ...]

    @property
    def worst(self) -> Phase:
        """The phase with the highest peak."""
        return max(self.phases, key=lambda phase: phase.peak)

    @property
    def seconds(self) -> float:
        """Estimate for one update."""
        return sum(phase.seconds for phase in self.phases)

    @property
    def capacity(self) -> float:
        """GiB available to the run."""
        return (self.config.memory or CARDS[self.config.card].memory) * (1 - RESERVE)

    @property
    def fits(self) -> bool:
        return self.worst.peak <= self.capacity * GIB


class Planner:
    """A base and its rewards on the meta device, with cached accounts."""

    def __init__(self, config: PlanConfig, made_of: Recipe | None = None, kernels: Kernels = "cuda") -> None:
        self.recipe = made_of or recipe(config.base)
        self.kernels = kernels
        self.base: Base = build(self.recipe, getattr(torch, config.dtype))
        self.targets = config.target_modules or self.base.lora_targets
        self.lora = sum(weight.numel() for weight in simulate.attach(self.base, config.rank, self.targets))
        self.towers = [Tower(name) for name in config.rewards]
        self._taken: dict[tuple[Any, ...], dict[str, Account]] = {}

    def plan(self, config: PlanConfig) -> Plan:
        """Plan a config of the same base, dtype, LoRA and rewards as the first."""
        config = replace(config, size=config.size or self.base.image_size)
        resident = self.resident(config)
        return Plan(config, self.parameters, resident, tuple(self.phases(config, sum(resident.values()))))

    @cached_property
    def parts(self) -> dict[str, nn.Module]:
        """Modules with weights, by their name in the pipeline."""
        return self.base.parts

    @cached_property
    def parameters(self) -> dict[str, int]:
        counts = {name: sum(weight.numel() for weight in part.parameters()) for name, part in self.parts.items()}
        counts["transformer"] -= self.lora
        rewards = sum(weight.numel() for tower in self.towers for weight in tower.parameters())
        return {**counts, "lora": self.lora, "rewards": rewards}

    def resident(self, config: PlanConfig) -> dict[str, int]:
        """Static bytes by part: weights and buffers, and the optimizer state of the LoRA."""
        parts = {name: weight_bytes(part) for name, part in self.parts.items()}
        parts["transformer"] -= 4 * self.lora
        if not config.text_encoders:
            parts = {name: size for name, size in parts.items() if name in ("transformer", "vae")}
        copies = {"LoRA": 4, "its gradient": 4, "AdamW's moments": 8} | ({"its average": 4} if config.ema else {})
        learned = {name: size * self.lora for name, size in copies.items()}
        return {**parts, "rewards": sum(map(weight_bytes, self.towers)), **learned}

    def phases(self, config: PlanConfig, static: int) -> list[Phase]:
        """Add to each phase's account the memory held by others during it."""
        denoise, decode, rewards = self.denoise(config), self.decode(config), self.rewards(config)
        window, images = denoise["window"].resident, decode["decode"].resident
        fresh = static - 4 * self.lora  # the backward pass of the denoiser allocates the gradient
        beneath = {
            "prefix": static,
            "window": static,
            "decode": static + window,
            "rewards": static + window + images,
            "rewards backward": static + window + images,
            "decode backward": static + window,
            "window backward": fresh,
        }
        accounts = {**denoise, **decode, **rewards}
        times = {"prefix": config.steps - config.grad_steps}
        return [phase(name, accounts[name], beneath[name], times.get(name, 1), config) for name in beneath]

    def denoise(self, config: PlanConfig) -> dict[str, Account]:
        step, deep = self.step(config), config.save_memory == "all"
        return self.taken(("denoise", step, deep), lambda: simulate.denoise(self.base, step, deep))

    def decode(self, config: PlanConfig) -> dict[str, Account]:
        step, again = self.step(config), config.save_memory != "none"
        return self.taken(
            ("decode", step.batch_size, step.size, again),
            lambda: simulate.decode(self.base, self.parts["vae"], step, again),
        )

    def rewards(self, config: PlanConfig) -> dict[str, Account]:
        """All towers one after another; all their graphs are kept until the backward pass."""
        step = self.step(config)
        return self.taken(("rewards", step.batch_size, step.size), lambda: stacked(self.towers, step))

    def taken(self, key: tuple[Any, ...], take: Any) -> dict[str, Account]:
        if key not in self._taken:
            self._taken[key] = take()
        return self._taken[key]

    def step(self, config: PlanConfig) -> simulate.Step:
        return simulate.Step(
            batch_size=config.batch_size,
            size=config.size or self.base.image_size,
            grad_steps=config.grad_steps,
            guidance=config.guidance,
            window_guidance=config.window_guidance,
            tokens=config.prompt_tokens,
            dtype=getattr(torch, config.dtype),
            kernels=self.kernels,
        )


def phase(name: str, account: Account, beneath: int, times: int, config: PlanConfig) -> Phase:
    """Add an account to the memory that is already held."""
    graph = 0 if name == "prefix" or name.endswith("backward") else account.resident
    flops = times * sum(account.flops.values())
    estimate = times * seconds(account, CARDS[config.card], config.share)
    return Phase(name, times, beneath + account.peak, graph, flops, estimate)


def stacked(towers: list[Tower], step: simulate.Step) -> dict[str, Account]:
    """Combine the accounts of several towers that run one after another."""
    total = {"rewards": Account(), "rewards backward": Account()}
    for tower in towers:
        below = total["rewards"].resident
        for name, account in simulate.reward(tower, step).items():
            whole = total[name]
            whole.peak = max(whole.peak, below + account.peak)
            whole.traffic += account.traffic
            whole.flops.update(account.flops)
            if name == "rewards":
                whole.resident += account.resident
    return total


def weight_bytes(module: nn.Module) -> int:
    """Bytes of a module's weights and buffers; shared tensors count once."""
    tensors = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
