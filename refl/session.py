"""The state of a run: the base with its LoRA, the rewards with their frozen scale, the judges, the last checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import torch
from torch import nn

from refl import panel, pretrain
from refl.config import ReflConfig
from refl.free_text_encoders import free_text_encoders
from refl.gates import gated
from refl.guard.monitor import HeldOut, Monitor
from refl.learner import lora_learner
from refl.objectives.objective import Objective, new_objective
from refl.parts import GivenRewards, Parts
from refl.shard import shard
from refl.tuned_text import LivePrompts, OwnReading, encoders, tunable
from refl.unlearnt import constant
from rewardkit.diffusion import lora, prompt_cache
from rewardkit.diffusion.base import Base
from rewardkit.diffusion.checkpointing import decode_by_image, save_memory
from rewardkit.diffusion.cut import warn_cut
from rewardkit.diffusion.sampler import Sampler, SamplingConfig
from rewardkit.encoders import load_encoder
from rewardkit.errors import UserError
from rewardkit.prompts import evenly
from rewardkit.rewards.panel import Panel
from rewardkit.rewards.registry import load_rewards
from rewardkit.training.batch_shard import BatchShard
from rewardkit.training.device import pick_device, pick_dtype
from rewardkit.training.learner import Learner
from rewardkit.training.processes import Processes, processes
from rewardkit.training.run import Run
from rewardkit.types import Conditioning, Images, Latents, NoiseLevels

FIT_IMAGES = 64
"""Number of base images on which the rewards' means and standard deviations are frozen."""

GUARD_SEED = 7919
"""Added to the seed, so that the judges' noise is used nowhere else."""

GUARD_ENCODER = "seedling"
"""Its features measure the diversity of images; it ships with the package."""


@dataclass(frozen=True)
class Session:
    """What an update needs; only the learner and the monitor change."""

    config: ReflConfig
    run: Run
    base: Base
    sampler: Sampler
    """Generates sample grids with the current weights."""
    panel: Panel
    texts: list[str]
    learner: Learner
    cache: prompt_cache.Prompts
    empty: Conditioning
    """The encoded empty prompt."""
    share: BatchShard
    """This process's part of every batch."""
    monitor: Monitor | None
    """The guard; None without judges."""
    real: pretrain.RealImages | None = None
    """The pre-training loss; None without real images."""
    own: prompt_cache.PromptCache | None = None
    """Embeddings of prompts by the base."""

    @cached_property
    def objective(self) -> Objective:
        """The objective of this run."""
        return new_objective(self.config)

    @cached_property
    def sigmas(self) -> NoiseLevels:
        """The noise levels, cached: for small bases building a scheduler takes a hundredth of a step."""
        return self.base.sigmas(self.config.steps)

    def decode(self, latents: Latents) -> Images:
        """Decode with the chosen memory saving."""
        if self.config.save_memory == "none":
            return self.base.decode(latents)
        return decode_by_image(self.base.decode, latents)


def begin(config: ReflConfig, world: Processes | None = None, parts: Parts | None = None) -> Session:
    """Load everything, add the LoRA, freeze the rewards' scale, and restore the last checkpoint.

    Objects in `parts` replace what the config names.
    """
    world, parts = world or processes(config.device), parts or Parts.named(config)
    objective = new_objective(config)
    share = BatchShard(config.batch_size, objective.copies, world)
    prompts = parts.read()
    texts, *others = ([prompt.text for prompt in own] for own in prompts.values())
    items = pretrain.read(config.pretrain) if config.pretrain else ()
    device = pick_device(config.reward_device or world.device)
    trained = panel.load_panel(
        parts.rewards, config.weights, config.targets, device, differentiable=objective.differentiates
    )
    trained = gated(trained, config.gates, prompts)
    judges = load_judges(parts.judges, trained, device)
    base = parts.load_base(world.device, pick_dtype(config.dtype, world.device))
    encoders(base, config.tune_text)  # refuse a base without text encoders before a folder is made
    if config.shard and world.count == 1:
        raise UserError("shard needs several processes, but there is only one; start several, or leave --shard out")
    run = Run.start(config.out, config, resume=config.resume, tracker=config.tracker, writes=world.is_main)
    if world.is_main:
        parts.keep(run.folder)
        warn_cut(texts, base)
    sampler = Sampler(base, sampling(config))
    trained = scaled(trained, sampler, texts, config, run.folder / "panel.json", world)
    parameters = adapters(config, base, run)
    save_memory(base.denoiser, base.vae, config.save_memory)
    if config.shard:
        shard(base.denoiser, parameters.values(), world)
    learner = lora_learner(
        parameters, lr=config.lr, warmup=config.warmup, clip=config.clip, ema=config.ema, world=world
    )
    own = prompt_cache.PromptCache(OwnReading(base) if config.tune_text else base)
    seen = others[0] if others else texts
    held_out = evenly(seen, config.guard_images) if judges else []
    if not config.text_encoders:
        own = free_text_encoders(base, world.device, [*texts, *held_out, *(item.prompt for item in items)])
        sampler = replace(sampler, encode=partial(own.encode, device=world.device))
    monitor = build_monitor(config, sampler, trained, judges, held_out, world) if judges else None
    last = run.latest() if config.resume else None
    if last is not None:
        learner.load(last.step, last.tensors)
    if last is not None and monitor is not None:
        monitor.load(last.tensors)
    read_now = LivePrompts(tunable(base)) if config.tune_text else own
    empty = own.encode([""], world.device)
    real = pretrain.RealImages(items, base, read_now, empty, share, config.pretrain_weight) if items else None
    return Session(config, run, base, sampler, trained, texts, learner, read_now, empty, share, monitor, real, own)


def sampling(config: ReflConfig) -> SamplingConfig:
    """How images are generated for the scale of the rewards, the judges and the grids."""
    return SamplingConfig(config.steps, config.guidance, config.seed, config.batch_size)


def adapters(config: ReflConfig, base: Base, run: Run) -> dict[str, nn.Parameter]:
    """Add the LoRA to the denoiser, and optionally to the text encoders; load that of an earlier run."""
    text = encoders(base, config.tune_text)
    parameters = lora.attach_all(
        base.denoiser,
        text,
        rank=config.rank,
        alpha=config.alpha or float(config.rank),
        targets=config.target_modules or base.lora_targets,
        text_targets=tunable(base).text_targets if text else (),
        random=partial(run.generator, 0),
    )
    if config.start is not None:
        lora.take_up(parameters, config.start, text)
    return parameters


def load_judges(given: GivenRewards, trained: Panel, device: torch.device) -> Panel | None:
    """Load the judges; raise `UserError` for a judge that is also trained on."""
    if not given:
        return None
    judges = Panel(load_rewards(given, device), device=device)
    both = sorted(judges.axes.keys() & trained.axes.keys())
    if both:
        raise UserError(f"{both[0]!r} is trained on, so it cannot judge; take it out of --judges or of --rewards")
    return judges


def build_monitor(
    config: ReflConfig, sampler: Sampler, trained: Panel, judges: Panel, prompts: Sequence[str], world: Processes
) -> Monitor:
    """Build the monitor, which scores these prompts at every check, with separate noise."""
    encoder = load_encoder(GUARD_ENCODER).to(world.device)
    subject = HeldOut(sampler.seeded(config.seed + GUARD_SEED), trained, judges, encoder, prompts, world)
    return Monitor(subject, config.patience if config.guard else 0, config.updates, config.guard_every)


def scaled(
    trained: Panel, sampler: Sampler, texts: Sequence[str], config: ReflConfig, path: Path, world: Processes
) -> Panel:
    """Freeze the z-scores on the base's own images, or load those of an earlier start of the run."""
    if all(world.gather(config.resume and path.is_file())):  # asked of all before any writes it
        return panel.read(trained, path)
    descend = new_objective(config).differentiates
    trained = panel.fit(trained, sampler, evenly(texts, FIT_IMAGES), world, descend=descend)
    if world.is_main:
        panel.write(trained, path)
    for line in constant(trained, FIT_IMAGES):
        print(line)
    return trained
