"""A step of ReFL and its parts: the time of each alone, and the memory of the step.

The parts are the irreducible work. Everything else that a step does (sampling noise, augmenting the images before
the reward, the arithmetic of sampling, checks, logging) is overhead.
"""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from refl.command import update
from refl.objectives.chain import late_step
from refl.objectives.refl import Refl
from refl.session import Session
from rewardkit.training.device import pick_device

Work = Callable[[], object]


@dataclass
class Parts:
    """Inputs of a step's parts, in the shapes of the step."""

    session: Session
    noise: Tensor
    sigma: Tensor
    conditioning: dict[str, Tensor]
    images: Tensor
    prompts: list[str]
    copies: list[Tensor]
    """Copies of the LoRA for a separate optimizer."""
    averages: list[Tensor]
    optimizer: torch.optim.Optimizer

    @classmethod
    def of(cls, session: Session) -> "Parts":
        config, base = session.config, session.base
        noise = base.noise(config.batch_size, session.run.generator(0, "noise"))
        prompts = [session.texts[i % len(session.texts)] for i in range(config.batch_size)]
        sigma = base.sigmas(config.steps)[late(session)].expand(len(noise))
        with torch.no_grad():
            images = base.decode(noise)
        copies = [weight.detach().clone().requires_grad_() for weight in session.learner.parameters.values()]
        for copy in copies:
            copy.grad = torch.full_like(copy, 1e-3)
        averages = [copy.detach().clone() for copy in copies]
        optimizer = torch.optim.AdamW(copies, lr=1e-6, fused=True)
        conditioning = session.cache.encode(prompts, noise.device)
        return cls(session, noise, sigma, conditioning, images, prompts, copies, averages, optimizer)

    def works(self) -> dict[str, Work]:
        return {
            "prefix": self.prefix,
            "window": self.window,
            "decode": self.decode,
            "rewards": self.rewards,
            "update": self.update,
        }

    @torch.no_grad()
    def prefix(self) -> None:
        """Forward passes without a graph, as many as in the step."""
        for _ in range(late(self.session)):
            self.session.base.velocity(self.noise, self.sigma, self.conditioning)

    def window(self) -> None:
        """One pass with a graph, and its backward pass to the LoRA."""
        for weight in self.session.learner.parameters.values():
            weight.grad = None
        velocity = self.session.base.velocity(self.noise, self.sigma, self.conditioning)
        velocity.backward(torch.ones_like(velocity))

    def decode(self) -> None:
        latents = self.noise.detach().requires_grad_()
        images = self.session.base.decode(latents)
        images.backward(torch.ones_like(images))

    def rewards(self) -> None:
        images = self.images.detach().requires_grad_()
        for reward in self.session.panel.rewards:
            single: Any = reward
            single.score(images, self.prompts).sum().backward()

    def update(self) -> None:
        """Clipping, AdamW and the moving average, with torch's fused loops."""
        nn.utils.clip_grad_norm_(self.copies, 1e3)
        self.optimizer.step()
        torch._foreach_lerp_(self.averages, [copy.detach() for copy in self.copies], 0.05)


def late(session: Session) -> int:
    """The step that carries the graph; the window contains only one."""
    return late_step(session.config.steps, session.config.window or Refl.window, torch.Generator())


def times(session: Session, repetitions: int, generator: torch.Generator) -> dict[str, list[float]]:
    """Seconds of the step and of every part, in a random order for each repetition."""
    works: dict[str, Work] = {"step": lambda: update(session), **Parts.of(session).works()}
    clock = Clock(pick_device(session.config.device))
    for work in works.values():
        work()
    found: dict[str, list[float]] = {name: [] for name in works}
    gc.collect()
    for _ in range(repetitions):
        for index in torch.randperm(len(works), generator=generator).tolist():
            name = list(works)[index]
            found[name].append(clock.seconds(works[name]))
    return found


@dataclass(frozen=True)
class Clock:
    """CPU time of the process on a CPU, so that other work on the machine does not count; wall-clock on a GPU."""

    device: torch.device

    def seconds(self, work: Work) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            began = time.perf_counter()
            work()
            torch.cuda.synchronize(self.device)
            return time.perf_counter() - began
        began = time.process_time()
        work()
        return time.process_time() - began


def peak(session: Session, **options: Any) -> int:
    """Peak bytes of a step above what was allocated before it, under other options."""
    changed = replace(session, config=replace(session.config, **options))
    update(changed)  # allocates what is kept (moments, cached prompts) before the measurement
    gc.collect()
    device = pick_device(session.config.device)
    if device.type == "cuda":
        return cuda_peak(lambda: update(changed), device)
    # Freeing a block allocated before the recording is subtracted; the maximum of two runs avoids this.
    return max(cpu_peak(lambda: update(changed)) for _ in range(2))


def cuda_peak(work: Work, device: torch.device) -> int:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def cpu_peak(work: Work) -> int:
    """Highest number of allocated bytes according to the profiler's record of torch's CPU allocator."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profiler:
        work()
    events = [each for each in profiler.profiler.kineto_results.events() if each.name() == "[memory]"]  # type: ignore[union-attr]
    live = most = 0
    for event in sorted(events, key=lambda each: each.start_ns()):
        live += event.nbytes()
        most = max(most, live)
    return most
