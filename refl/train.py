"""`rewardkit refl`: fine-tune a base with a LoRA through differentiable rewards, from prompts alone.

Left out on purpose: several processes, offloading, and rewards without a gradient. Every random choice of an update
is drawn from `run.generator(step, stream)`, so that a run killed at any moment resumes to the same weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from refl import lora, panel, prompts
from refl.augment import augment
from refl.learner import Learner
from refl.objective import Chain, Outcome, late_step, refl
from rewardkit.base import Base, load_base
from rewardkit.errors import UserError
from rewardkit.files import new_folder
from rewardkit.images import grid, save_image
from rewardkit.progress import Progress
from rewardkit.prompts import read_prompts
from rewardkit.reward import Panel
from rewardkit.run import Run
from rewardkit.sampling import generate_images, guided
from rewardkit.types import Conditioning

FIT_IMAGES = 64
"""Base images that the rewards' means and spreads are frozen on."""

GRID_IMAGES = 16
"""Images on a sample grid."""


@dataclass(frozen=True)
class ReflConfig:
    """Options of `rewardkit refl`."""

    prompts: Path
    """Prompts to train on: .txt, .jsonl, .csv or .tsv."""
    out: Path
    """The run's folder; the LoRA is written to its `lora` folder."""
    rewards: tuple[str, ...]
    """What to climb: registered names, reward model folders, or module:Class; SPEC#axis picks one axis."""
    base: str = "seedling"
    """The model to tune: "seedling", a folder in diffusers format, or a hub id."""
    weights: dict[str, float] = field(default_factory=dict)
    """Weight of a reward, by its name or its axis; 1 where not given."""
    targets: dict[str, float] = field(default_factory=dict)
    """Z-score above which a reward stops pulling, by its name or its axis; 2 where not given."""
    steps: int = 150
    """Updates."""
    batch_size: int = 16
    """Images an update."""
    sampling_steps: int = 10
    """Steps from noise to image."""
    guidance: float = 1.0
    """Classifier-free guidance while sampling; 1 is none."""
    window_guidance: Literal["off", "detached", "graph"] = "detached"
    """Guidance at the step that carries the graph: off, its unconditional pass without a gradient, or all of it."""
    window: tuple[float, float] = (0.5, 1.0)
    """Which share of the chain the step with a gradient is drawn from."""
    lr: float = 3e-4
    """Learning rate of AdamW."""
    warmup: int = 10
    """Updates over which the learning rate rises to it."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    rank: int = 16
    """Rank of the LoRA."""
    alpha: float = 0.0
    """Scale of the LoRA is alpha / rank; 0 takes the rank."""
    target_modules: tuple[str, ...] = ()
    """Layers the LoRA goes to; those usual for the base where not given."""
    kl: float = 0.0
    """Weight of the squared distance to the base's velocity."""
    ema: float = 0.95
    """Decay of the averaged weights, which are what is drawn and saved; 0 takes the last weights."""
    augment: float = 1.0
    """Strength of the small shifts, blur and noise before a reward sees an image; 0 is none."""
    grid_every: int = 25
    """Updates between two sample grids (same prompts, same noise); 0 draws none."""
    save_every: int = 25
    """Updates between two checkpoints."""
    seed: int = 0
    """Of all randomness."""
    resume: bool = False
    """Go on from the last checkpoint in `out`."""
    device: str = "cpu"
    """Where to run: cpu, cuda, cuda:1, mps."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision of the base; the LoRA, the decoder and the rewards stay in float32."""
    tensorboard: bool = False
    """Write TensorBoard event files as well."""


@dataclass(frozen=True)
class Session:
    """What an update needs and none changes (the learner apart)."""

    config: ReflConfig
    run: Run
    base: Base
    panel: Panel
    texts: list[str]
    learner: Learner
    cache: prompts.PromptCache
    empty: Conditioning


def train(config: ReflConfig) -> None:
    """Run ReFL from start, or from the last checkpoint, to a LoRA in `out/lora`."""
    check(config)
    session = begin(config)
    learner, run = session.learner, session.run
    if learner.step == 0:
        draw_grid(session)
    with Progress("refl", config.steps, learner.step) as bar:
        while learner.step < config.steps:
            metrics, shown = update(session)
            run.log(learner.step, metrics)
            bar.update(1, **shown)
            if learner.step % config.save_every == 0 or learner.step == config.steps:
                run.save(learner.step, learner.state(), {"rewards": list(session.panel.axes)})
            if config.grid_every and (learner.step % config.grid_every == 0 or learner.step == config.steps):
                draw_grid(session)
    with learner.averaged(), new_folder(config.out / "lora") as folder:
        lora.save(session.base.denoiser, folder)
    run.close()
    print(f"LoRA written to {config.out / 'lora'}")


def check(config: ReflConfig) -> None:
    """Refuse numbers that make no run, before anything is loaded."""
    for name in ("steps", "batch_size", "sampling_steps", "save_every"):
        if getattr(config, name) < 1:
            raise UserError(f"{name} must be 1 or more; got {getattr(config, name)}")
    if not 0 <= config.ema < 1:
        raise UserError(f"ema must be at least 0 and below 1; got {config.ema}")
    late_step(config.sampling_steps, config.window, torch.Generator())


def begin(config: ReflConfig) -> Session:
    """Load everything, put the LoRA on, freeze the rewards' scale, and take up the last checkpoint."""
    texts = [prompt.text for prompt in read_prompts(config.prompts)]
    if not texts:
        raise UserError(f"{config.prompts} holds no prompts; write one a line")
    judges = panel.load_panel(config.rewards, config.weights, config.targets, torch.device(config.device))
    base = load_base(config.base, config.device, getattr(torch, config.dtype))
    run = Run.start(config.out, config, resume=config.resume, tensorboard=config.tensorboard)
    judges = scaled(judges, base, texts, config, run.folder / "panel.json")
    parameters = lora.attach(
        base.denoiser, rank=config.rank, alpha=config.alpha or float(config.rank),
        targets=config.target_modules or base.lora_targets, generator=run.generator(0, "lora"),
    )  # fmt: skip
    learner = Learner(parameters, lr=config.lr, warmup=config.warmup, clip=config.clip, ema=config.ema)
    last = run.latest() if config.resume else None
    if last is not None:
        learner.load(last.step, last.tensors)
    return Session(config, run, base, judges, texts, learner, prompts.PromptCache(base), base.encode([""]))


def scaled(judges: Panel, base: Base, texts: Sequence[str], config: ReflConfig, path: Path) -> Panel:
    """Freeze the z-scores on the base's own images, or read what an earlier start of the run froze."""
    if config.resume and path.is_file():
        return panel.read(judges, path)
    chosen = spread(texts, FIT_IMAGES)
    judges = panel.fit(
        judges, base, chosen, steps=config.sampling_steps, guidance=config.guidance, seed=config.seed,
        batch_size=config.batch_size,
    )  # fmt: skip
    panel.write(judges, path)
    return judges


def spread(texts: Sequence[str], count: int) -> list[str]:
    """Take `count` prompts evenly from a file (its kinds often stand in blocks), or repeat a short one."""
    return [texts[index * len(texts) // count] for index in range(count)]


def update(session: Session) -> tuple[dict[str, float], dict[str, float]]:
    """Descend once; return what to log, and what to show beside the bar."""
    config, step = session.config, session.learner.step
    random = partial(session.run.generator, step)
    chosen = prompts.batch(
        step, config.batch_size, len(session.texts), lambda epoch: session.run.generator(epoch, "order")
    )
    texts = [session.texts[index] for index in chosen]
    outcome = refl(
        chain(session, texts), session.base.decode, session.panel, texts, denoiser=session.base.denoiser,
        kl=config.kl, augment=lambda images: augment(images, random("augment"), config.augment),
    )  # fmt: skip
    norm = session.learner.update(outcome.loss)
    return metrics(session.panel, outcome, texts, norm)


def chain(session: Session, texts: Sequence[str]) -> Chain:
    """Draw the noise and the late step of this update."""
    config, base, step = session.config, session.base, session.learner.step
    noise = base.noise(len(texts), session.run.generator(step, "noise"))
    told = session.cache.encode(texts, noise.device)
    scale = 1.0 if config.window_guidance == "off" and not base.distilled_guidance else config.guidance
    unconditional: Literal["graph", "detached"] = "graph" if config.window_guidance == "graph" else "detached"
    return Chain(
        prefix=guided(base, told, session.empty, config.guidance),
        window=guided(base, told, session.empty, scale, unconditional),
        noise=noise,
        sigmas=base.sigmas(config.sampling_steps),
        late=late_step(config.sampling_steps, config.window, session.run.generator(step, "window")),
    )


def metrics(
    judges: Panel, outcome: Outcome, texts: Sequence[str], norm: float
) -> tuple[dict[str, float], dict[str, float]]:
    """Means over the images that each reward speaks about; a reward that speaks about none is left out."""
    gates, scores = judges.gates(texts), judges.normalise(outcome.raw)
    logged = {"loss": outcome.loss.item(), "kl": outcome.kl.item(), "grad_norm": norm}
    shown = {}
    for name, raw in outcome.raw.items():
        gate = gates[name].to(raw.device)
        if gate.any():
            logged[f"reward/{name}"] = raw.detach()[gate].mean().item()
            shown[name] = logged[f"z/{name}"] = scores[name].detach()[gate].mean().item()
    return logged, shown


def draw_grid(session: Session) -> None:
    """Draw the same prompts from the same noise with the averaged weights, to see what changes."""
    config, count = session.config, min(GRID_IMAGES, len(session.texts))
    if not config.grid_every:
        return
    with session.learner.averaged():
        images = generate_images(
            session.base, spread(session.texts, count), steps=config.sampling_steps, guidance=config.guidance,
            seed=config.seed, batch_size=config.batch_size,
        )  # fmt: skip
    path = session.run.folder / "samples" / f"step_{session.learner.step:06d}.png"
    path.parent.mkdir(exist_ok=True)
    save_image(grid(images, columns=4), path)
