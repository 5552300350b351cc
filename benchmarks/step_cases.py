"""What `benchmarks/refl_step.py` measures: a run of ReFL on seedling, on a tiny base of each family, or on a real size.

Weights of the tiny bases and of the real sizes are random, and nothing is downloaded: the cost of a step does not
depend on them.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from refl.config import ReflConfig
from refl.learner import lora_learner
from refl.session import Session, sampling
from rewardkit.diffusion import lora
from rewardkit.diffusion.base import Base
from rewardkit.diffusion.load import load_base
from rewardkit.diffusion.prompt_cache import PromptCache
from rewardkit.diffusion.sampler import Sampler
from rewardkit.diffusion.tiny.families import TINY
from rewardkit.encoders import load_encoder
from rewardkit.plan.bases import build, recipe
from rewardkit.plan.conditioning import conditioning
from rewardkit.plan.towers import encoder
from rewardkit.rewards.panel import Panel
from rewardkit.training.batch_shard import BatchShard
from rewardkit.training.run import Run
from rewardkit.types import Conditioning, Images, Scores

TOKENS = 77
"""Length of a prompt when a size is measured without its text encoders."""

LATE = 0.5
"""The step with a graph always starts at this fraction of the chain, so that all repetitions do equal work."""


class TowerReward:
    """Sum of a frozen image encoder's embedding, which costs as much as a CLIP reward."""

    name, axis, differentiable = "tower", "aesthetic", True

    def __init__(self, tower: nn.Module) -> None:
        self.tower: Any = tower.requires_grad_(False)

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        scores: Scores = self.tower.image(images).pooled.sum(-1)
        return scores


def small(name: str, out: Path, batch: int) -> Session:
    """Seedling, or the tiny base of a family, with the built-in CLIP as the reward; on the CPU, in float32."""
    base = load_base("seedling") if name == "seedling" else TINY[name].base()
    return session(base, TowerReward(load_encoder("seedling")), ReflConfig(**options(out, batch)))


def sized(name: str, pixels: int, out: Path, batch: int, tower: str, device: str, dtype: str) -> Session:
    """A known size (or a diffusers folder) with random weights; prompts are random too, the text encoders left out."""
    made_of = recipe(name)
    parts = {part: made_of.parts[part] for part in ("transformer", "vae")}
    base: Any = build(replace(made_of, parts=parts), getattr(torch, dtype), torch.device(device))
    base.image_size = pixels
    conditioning = random_prompt(base, getattr(torch, dtype), torch.device(device))
    base.encode = lambda prompts: {
        name: value.repeat_interleave(len(prompts), 0) for name, value in conditioning.items()
    }
    scorer = TowerReward(weighted(encoder(tower), device))
    return session(base, scorer, ReflConfig(**options(out, batch), device=device, dtype=dtype))  # type: ignore[arg-type]


def options(out: Path, batch: int) -> dict[str, Any]:
    """The defaults of a run without its penalty; prompts and rewards are passed to the session directly."""
    window = (LATE, LATE + 0.01)
    return {"prompts": Path(), "out": out, "rewards": ("tower",), "batch_size": batch, "window": window, "kl": 0.0}


def session(base: Base, reward: TowerReward, config: ReflConfig) -> Session:
    """What `refl.session.begin` builds, from parts in memory; everything optional is off."""
    run = Run.start(config.out, config, resume=True)
    weights = lora.attach(
        base.denoiser,
        rank=config.rank,
        alpha=float(config.rank),
        targets=base.lora_targets,
        generator=run.generator(0, "lora"),
    )
    texts = [f'a poster that says "{word}"' for word in ("one", "two", "three", "four", "five")]
    learner = lora_learner(weights, lr=config.lr, warmup=config.warmup, clip=config.clip, ema=config.ema)
    parts = {
        "config": config,
        "run": run,
        "base": base,
        "panel": Panel([reward]),
        "texts": texts,
        "learner": learner,
        "sampler": Sampler(base, sampling(config)),
        "cache": PromptCache(base),
        "empty": base.encode([""]),
        "share": BatchShard(config.batch_size),
    }
    return Session(**{field.name: parts.get(field.name) for field in fields(Session)})  # type: ignore[arg-type]


def random_prompt(base: Base, dtype: torch.dtype, device: torch.device) -> Conditioning:
    """One prompt as its encoders might say it."""
    zeros = conditioning(base, 1, TOKENS, dtype, device)
    return {name: torch.randn_like(value) if value.is_floating_point() else value for name, value in zeros.items()}


def weighted(tower: nn.Module, device: str) -> nn.Module:
    """Give a tower on the meta device random weights on a device."""
    tower = tower.to_empty(device=device)
    for tensor in (*tower.parameters(), *tower.buffers()):
        if tensor.is_floating_point():
            nn.init.normal_(tensor, std=0.02)
    return tower.eval()
