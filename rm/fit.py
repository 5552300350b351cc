"""The training loop of reward heads: epochs over pairs or lists, the best epoch by held-out accuracy, resume."""

import math
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Generator

from rewardkit.io.progress import Progress
from rewardkit.training.interrupt import Interrupt
from rewardkit.training.processes import ALONE, Processes
from rewardkit.training.run import Checkpoint, Run
from rm.best_epoch import BestEpoch
from rm.features import PairFeatures
from rm.image_cache import Rows, chunks
from rm.model import RewardModel
from rm.objective import Objective
from rm.optim import new_learner
from rm.options import Updates
from rm.validation import Validation, measure


def fit(
    model: RewardModel,
    objective: Objective,
    validation: PairFeatures,
    run: Run,
    options: Updates,
    world: Processes = ALONE,
) -> BestEpoch:
    """Train until the last epoch or early stopping; the model then has the best weights, the same on every process."""
    training = Training(model, objective, run, options, world)
    checkpoint = run.latest()
    if checkpoint is not None:
        training.load(checkpoint)
    best = training.best
    with (
        Progress("train-rm", training.total, training.step) as bar,
        Interrupt(world) as training.interrupt,
    ):
        for epoch in range(training.epochs, options.epochs):
            if epoch - max(best.epoch.values(), default=epoch) >= options.patience:
                break
            losses = training.epoch(bar)
            with training.learner.averaged():
                found = measure(model, validation, max(1, options.batch_size // options.accumulate), world)
                best.keep(model, found, epoch)
            run.log(training.step, {"epoch": float(epoch + 1), **losses, **flat(found)})
            if (epoch + 1) % options.save_every_epochs == 0 or epoch + 1 == options.epochs:
                training.save()
            bar.update(0, **losses, **{axis: one.accuracy.value for axis, one in found.items()})
    model.load_state_dict(best.weights, strict=False)
    world.check_same(best.weights)
    return best


class Training:
    """The state of training: the model, its learner, its best epoch and its progress."""

    def __init__(
        self, model: RewardModel, objective: Objective, run: Run, options: Updates, world: Processes = ALONE
    ) -> None:
        self.model, self.objective, self.run, self.options, self.world = model, objective, run, options, world
        self.learner, self.best = new_learner(model, options, self.total, world), BestEpoch()
        self.interrupt = Interrupt(world)
        self.epochs = 0
        """Completed epochs."""
        self.sums: dict[str, list[float]] = {}
        """Losses of the current epoch, by update."""

    @property
    def per_epoch(self) -> int:
        return math.ceil(len(self.objective) / self.options.batch_size)

    @property
    def total(self) -> int:
        return self.per_epoch * self.options.epochs

    @property
    def step(self) -> int:
        """Updates done."""
        return self.learner.step

    def epoch(self, bar: Progress) -> dict[str, float]:
        """Train one epoch in random order, or finish an interrupted one; return each axis's mean loss."""
        self.model.heads.train()  # the encoder stays in eval mode: no dropout, fixed statistics
        first = self.epochs * self.per_epoch
        order = torch.randperm(len(self.objective), generator=self.run.generator(first, "order"))
        for rows in list(chunks(order, self.options.batch_size))[self.step - first :]:
            self.update(rows)
            bar.update()
            if self.interrupt.due():
                self.save()
                self.interrupt.leave(self.step, self.run.close)
        gathered = self.world.gather({name: sum(values) / len(values) for name, values in self.sums.items()})
        self.epochs, self.sums = self.epochs + 1, {}
        return {name: sum(found[name] for found in gathered) for name in gathered[0]}

    def update(self, rows: Rows) -> None:
        """Run one update on the examples of these rows."""
        self.learner.clear()
        random = partial(self.run.generator, self.step)
        losses = descend(self.model, self.objective, rows, self.options.accumulate, random, self.world)
        self.learner.descend(sum(losses.values()))
        for axis, loss in losses.items():
            self.sums.setdefault(f"loss/{axis}", []).append(loss)

    def save(self) -> None:
        """Save everything that a resumed run needs."""
        best, gathered = self.best, self.world.gather(self.sums)
        losses = {
            name: [sum(each) for each in zip(*(one[name] for one in gathered), strict=True)] for name in self.sums
        }
        about = {"accuracy": best.accuracy, "loss": best.loss, "epoch": best.epoch}
        state = self.learner.state() | {"best": best.weights}
        self.run.save(self.step, state, about | {"epochs": self.epochs, "losses": losses})

    def load(self, checkpoint: Checkpoint) -> None:
        """Restore a checkpoint."""
        self.learner.load(checkpoint.step, checkpoint.tensors)
        about = checkpoint.meta
        self.best = BestEpoch(about["accuracy"], about["loss"], about["epoch"], checkpoint.tensors["best"])
        self.epochs = int(about["epochs"])
        self.sums = {
            name: values if self.world.is_main else [0.0] * len(values)  # they are sums over all processes
            for name, values in about["losses"].items()
        }


def descend(
    model: RewardModel,
    objective: Objective,
    rows: Rows,
    accumulate: int,
    generator: Callable[[str], Generator],
    world: Processes = ALONE,
) -> dict[str, float]:
    """Accumulate the gradient of a step's loss over this process's parts; return their share of every axis's loss.

    A part's mean loss is weighted by its number of judgements, so that the sum over all parts is the mean over the
    step. Views and wrong prompts are sampled within a part, by its number: two processes sample the same as one with
    two parts.
    """
    total = objective.judged(rows)
    losses = dict.fromkeys(total, 0.0)
    parts = rows.tensor_split(accumulate * world.count)
    for number, part in world.share(list(enumerate(parts))):
        if len(part):
            judged = objective.judged(part)
            found = objective.losses(model, part, generator(f"views and negatives{f' {number}' if number else ''}"))
            shared = {axis: loss * (judged[axis] / max(total[axis], 1)) for axis, loss in found.items()}
            torch.autograd.backward(list(shared.values()))
            losses = {axis: losses[axis] + loss.item() for axis, loss in shared.items()}
    return losses


def flat(found: Mapping[str, Validation]) -> dict[str, float]:
    values = {f"accuracy/{axis}": one.accuracy.value for axis, one in found.items()}
    return values | {f"held_out_loss/{axis}": one.loss for axis, one in found.items()}
