"""Train one part of seedling: its run folder, and the loop over its updates, which resumes where it stopped."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Generator

from rewardkit.io.toml import to_toml
from rewardkit.training.learner import Learner
from rewardkit.training.loop import Loop
from rewardkit.training.run import Run
from rewardkit.training.tracker import Tracker


@dataclass(frozen=True, kw_only=True)
class PartConfig:
    """How a part is trained."""

    out: Path
    """Its run folder."""
    updates: int
    batch_size: int
    posters: int = 0
    """Number of posters to train on; the rewriter's language model uses none."""
    seed: int = 0
    device: str = "cpu"
    save_every: int = 250
    tracker: Tracker = "none"

    def generator(self, step: int) -> Generator:
        """Generator of an update, which depends only on the seed and the update's number."""
        return Generator().manual_seed(self.seed * 1_000_003 + step)

    def __str__(self) -> str:
        return ", ".join(
            f"{name} {getattr(self, name)}" for name in ("updates", "batch_size", "posters", "seed", "device")
        )


def train_part(
    config: PartConfig,
    learner: Learner,
    update: Callable[[], dict[str, float]],
    *,
    each: Callable[[int], None] = lambda step: None,
    generators: Mapping[str, Generator] | None = None,
) -> dict[str, Any]:
    """Run the remaining updates; return the metrics of the last.

    `each` is called after a checkpoint. `generators` are those with state across updates; a checkpoint
    contains their states.
    """
    run, running = begin(config), generators or {}
    newest = run.latest()
    numbers: dict[str, Any] = dict(newest.meta) if newest else {}
    if newest:
        learner.load(newest.step, newest.tensors)
        for name, generator in running.items():
            generator.set_state(newest.tensors["random"][name])

    def logged() -> tuple[dict[str, float], dict[str, float]]:
        numbers.update(update())
        return numbers, numbers

    def save() -> None:
        random = {name: generator.get_state() for name, generator in running.items()}
        run.save(learner.step, learner.state() | {"random": random}, numbers)
        each(learner.step)

    loop = Loop(title=config.out.name, run=run, learner=learner, updates=config.updates, save_every=config.save_every)
    loop.train(logged, save)
    run.close()
    return numbers


def begin(config: PartConfig) -> Run:
    """Open the part's run; a run with other options is removed first."""
    begun = config.out / "config.toml"
    if begun.is_file() and learnt(begun.read_text(encoding="utf-8")) != learnt(to_toml(config)):
        shutil.rmtree(config.out)
    return Run.start(config.out, config, resume=True, tracker=config.tracker)


def learnt(options: str) -> list[str]:
    """The lines of a config that change what is learnt; where metrics go does not."""
    return [line for line in options.splitlines() if not line.startswith("tracker ")]
