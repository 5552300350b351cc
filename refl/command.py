"""`rewardkit refl`: fine-tune a base with a LoRA through rewards, from prompts only.

All randomness of an update comes from `run.generator(step, stream)`, so that a run killed at any moment resumes
to the same weights. With several processes each computes its shard of an update's images, and the main process writes.
Offloading is deliberately not supported.
"""

import time
from collections.abc import Sequence
from functools import partial
from typing import Literal

from torch import Tensor

from refl.augment import augment
from refl.check import check
from refl.config import ReflConfig
from refl.guard.verdict import write_verdict
from refl.objectives.chain import Chain
from refl.objectives.objective import Batch, Outcome, of_all
from refl.parts import Parts
from refl.plan import show_plan
from refl.report import write_report
from refl.session import Session, begin
from refl.tuned_text import encoders
from refl.unlearnt import unlearnt
from rewardkit.diffusion import lora
from rewardkit.diffusion.rollout import rollout
from rewardkit.diffusion.sampling import guided
from rewardkit.images import grid, save_image
from rewardkit.io.files import new_folder
from rewardkit.io.jsonl import read_objects
from rewardkit.prompts import evenly
from rewardkit.rewards.panel import Panel
from rewardkit.training import order
from rewardkit.training.average import put
from rewardkit.training.loop import Loop
from rewardkit.training.processes import Processes, processes
from rewardkit.types import Images

GRID_IMAGES = 16
"""Images on a sample grid."""


def train(config: ReflConfig) -> None:
    """Fine-tune a LoRA through rewards; `ReflConfig` holds the options."""
    train_parts(config, Parts.named(config))


def train_parts(config: ReflConfig, parts: Parts) -> None:
    """Train on parts that are named or passed as objects; only the main process prints."""
    if config.plan:
        check(config)
        show_plan(config)
        return
    world = processes(config.device)
    with world.hush():
        train_rank(config, parts, world)


def train_rank(config: ReflConfig, parts: Parts, world: Processes) -> None:
    """Train on this process's shard; the main process writes."""
    check(config)
    began = time.monotonic()
    session = begin(config, world, parts)
    learner, run, first = session.learner, session.run, session.learner.step
    if learner.step == 0:
        draw_grid(session)
    look(session)
    loop = Loop(title="refl", run=run, learner=learner, updates=config.updates, save_every=config.save_every)
    loop.train(
        partial(update, session),
        lambda: run.save(learner.step, state(session), {"rewards": list(session.panel.axes)}),
        after=partial(draw_where_due, session),
        stopped=partial(stopped, session),
    )
    world.check_same(learner.state()["weights"])
    if world.is_main:
        finish(session)
        report = write_report(config, session.monitor, learner.step - first, time.monotonic() - began)
        print(f"LoRA written to {config.out / 'lora'}, report to {report}")
    run.close()
    world.wait()


def update(session: Session) -> tuple[dict[str, float], dict[str, float]]:
    """Run one update and, when it is due, a check of the guard; return what to log and what the progress bar shows."""
    texts, share = batch(session), session.share
    own = texts[share.rows]
    outcome = learn(session, chain(session, own), own)
    loss = outcome.loss
    logged, shown = metrics(session.panel, of_all(outcome, share), texts)
    if session.real is not None:
        apart = session.real.loss(session.learner.step, session.run.generator)
        loss, logged["pretrain"] = loss + session.real.weight * apart, share.mean(apart.item())
    logged["grad_norm"] = session.learner.update(loss * share.weight)
    look(session)
    return logged, shown


def batch(session: Session) -> list[str]:
    """Prompts of this update, over all processes; repeated if images of a prompt are compared."""
    config, run, copies = session.config, session.run, session.share.unit
    chosen = order.batch(
        session.learner.step,
        config.batch_size // copies,
        len(session.texts),
        lambda epoch: run.generator(epoch, "order"),
    )
    return [session.texts[index] for index in chosen for _ in range(copies)]


def learn(session: Session, chain: Chain, texts: Sequence[str]) -> Outcome:
    """Loss of this update, by the chosen objective."""

    def augmented(images: Images) -> Images:
        return augment(images, chain.random("augment"), session.config.augment, session.share)

    denoiser, averaged = session.base.denoiser, session.learner.averaged
    return session.objective.loss(Batch(chain, texts, session.decode, session.panel, denoiser, augmented, averaged))


def chain(session: Session, texts: Sequence[str]) -> Chain:
    """Sample the noise of this update, and set up guidance."""
    config, base, step, share = session.config, session.base, session.learner.step, session.share
    generator = session.run.generator(step, "noise")
    noise = share.own(lambda count: base.noise(count, generator))
    conditioning, empty = session.cache.encode(texts, noise.device), session.empty
    scale = 1.0 if config.window_guidance == "off" and not base.distilled_guidance else config.guidance
    unconditional: Literal["graph", "detached"] = "graph" if config.window_guidance == "graph" else "detached"
    own = None
    if config.tune_text and session.own is not None:
        own = guided(base, session.own.encode(texts, noise.device), empty, scale)
        empty = session.cache.encode([""], noise.device)
    return Chain(
        prefix=guided(base, conditioning, empty, config.guidance),
        window=guided(base, conditioning, empty, scale, unconditional),
        noise=noise,
        sigmas=session.sigmas,
        random=partial(session.run.generator, step),
        own=own,
        share=share,
    )


def metrics(judges: Panel, outcome: Outcome, texts: Sequence[str]) -> tuple[dict[str, float], dict[str, float]]:
    """Means over the images that each reward applies to; a reward that applies to none is left out."""
    gates, scores = judges.gates(texts), judges.normalise(outcome.raw)
    logged = {"loss": outcome.loss.item(), "kl": outcome.kl.item()}
    shown = {}
    for name, raw in outcome.raw.items():
        gate = gates[name].to(raw.device)
        if gate.any():
            logged[f"reward/{name}"] = raw.detach()[gate].mean().item()
            shown[name] = logged[f"z/{name}"] = scores[name].detach()[gate].mean().item()
    return logged, shown


def look(session: Session) -> None:
    """Check the averaged weights with the judges, if a check is due and not yet done."""
    monitor, step = session.monitor, session.learner.step
    if monitor is None or not monitor.due(step):
        return
    with session.learner.averaged():
        monitor.look(step, session.learner.parameters)
    if session.run.writes:
        write_verdict(session.run, monitor.checks, monitor.verdict)


def stopped(session: Session) -> bool:
    """Whether the guard stops the run."""
    return session.monitor is not None and session.monitor.verdict.stop


def state(session: Session) -> dict[str, dict[str, Tensor]]:
    """Save a checkpoint."""
    return session.learner.state() | (session.monitor.state() if session.monitor else {})


def finish(session: Session) -> None:
    """Write the LoRA: the averaged weights, or the best by the judges if the guard decides so."""
    config, learner, monitor = session.config, session.learner, session.monitor
    restored = monitor.best if monitor is not None and monitor.verdict.stands != monitor.verdict.step else {}
    with learner.averaged(), new_folder(config.out / "lora") as folder:
        put(learner.parameters, restored)
        lora.save(session.base.denoiser, folder, encoders(session.base, config.tune_text))
    if monitor is not None:
        print(f"guard: {monitor.verdict.sentence}")
    for line in unlearnt(session.panel, list(read_objects(session.run.folder / "metrics.jsonl"))):
        print(line)


def draw_where_due(session: Session, last: bool) -> None:
    """Generate a sample grid every `grid_every` updates, and after the last."""
    every = session.config.grid_every
    if every and (session.learner.step % every == 0 or last):
        draw_grid(session)


def draw_grid(session: Session) -> None:
    """Generate the sample grid with the averaged weights, always from the same prompts and noise."""
    config, count = session.config, min(GRID_IMAGES, len(session.texts))
    if not config.grid_every:
        return
    with session.learner.averaged():
        texts, world = evenly(session.texts, count), session.share.world
        images = rollout(session.sampler, texts, lambda images, _: {"images": images}, world)["images"]
    if not session.run.writes:
        return
    path = session.run.folder / "samples" / f"step_{session.learner.step:06d}.png"
    path.parent.mkdir(exist_ok=True)
    save_image(grid(images, columns=4), path)
