"""The training loop of reward heads: epochs over pairs or lists, the best epoch by held-out accuracy, resume."""

import math
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Generator, Tensor
from torch.optim import Optimizer

from rewardkit.io.progress import Progress
from rewardkit.training.average import Average
from rewardkit.training.processes import ALONE, Processes
from rewardkit.training.run import Checkpoint, Run
from rm.best_epoch import BestEpoch
from rm.features import PairFeatures
from rm.image_cache import Rows, chunks
from rm.model import RewardModel
from rm.objective import Objective
from rm.optim import load_moments, make_optimizer, moments, rate, set_rate
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
    """Train until the epochs or the patience end; leave the best weights in the model, the same on every process."""
    optimizer = make_optimizer(model, options.lr, options.encoder_lr, options.weight_decay)
    per_epoch = math.ceil(len(objective) / options.batch_size)
    total = per_epoch * options.epochs
    best, start, average = BestEpoch(), 0, Average(model, options.ema)
    checkpoint = run.latest()
    if checkpoint is not None:
        best, start = restore(checkpoint, model, optimizer, average)
    with Progress("train-rm", total, start * per_epoch) as bar:
        for epoch in range(start, options.epochs):
            if epoch - max(best.epoch.values(), default=epoch) >= options.patience:
                break
            losses = train_epoch(
                model, optimizer, average, objective, run, options, epoch * per_epoch, total, bar, world
            )
            with average.swapped():
                found = measure(model, validation, max(1, options.batch_size // options.accumulate), world)
                best.keep(model, found, epoch)
            step = (epoch + 1) * per_epoch
            run.log(step, {"epoch": float(epoch + 1), **losses, **flat(found)})
            if (epoch + 1) % options.save_every == 0 or epoch + 1 == options.epochs:
                run.save(step, state(optimizer, average, best), meta(best, epoch + 1))
            bar.update(0, **losses, **{axis: one.accuracy.value for axis, one in found.items()})
    model.load_state_dict(best.weights, strict=False)
    world.check_same(best.weights)
    return best


def train_epoch(
    model: RewardModel,
    optimizer: Optimizer,
    average: Average,
    objective: Objective,
    run: Run,
    options: Updates,
    step: int,
    total: int,
    bar: Progress,
    world: Processes,
) -> dict[str, float]:
    """Go once over the examples in a random order; return the mean loss of each axis."""
    model.heads.train()  # the encoder stays as it scores: no dropout, and statistics of batches as they were learned
    sums: dict[str, list[float]] = {}
    order = torch.randperm(len(objective), generator=run.generator(step, "order"))
    for rows in chunks(order, options.batch_size):
        optimizer.zero_grad(set_to_none=True)
        losses = descend(model, objective, rows, options.accumulate, partial(run.generator, step), world)
        world.sum_gradients(model.parameters())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        set_rate(optimizer, rate(step, total, options.warmup))
        optimizer.step()
        average.update()
        for axis, loss in losses.items():
            sums.setdefault(f"loss/{axis}", []).append(loss)
        step += 1
        bar.update()
    gathered = world.gather({name: sum(values) / len(values) for name, values in sums.items()})
    return {name: sum(found[name] for found in gathered) for name in sums}


def descend(
    model: RewardModel,
    objective: Objective,
    rows: Rows,
    accumulate: int,
    generator: Callable[[str], Generator],
    world: Processes = ALONE,
) -> dict[str, float]:
    """Add up the gradient of a step's loss over this process's parts of it; return their share of every axis's loss.

    A part's mean loss weighs as much as its judgements, so that the sum over all is the mean over the step. Views and
    wrong prompts are drawn within a part, by its number: two processes draw what one with two parts would.
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


def state(optimizer: Optimizer, average: Average, best: BestEpoch) -> dict[str, dict[str, Tensor]]:
    """Everything a resumed run needs, as named tensors."""
    weights = {name: value.detach() for name, value in average.learning.items()}
    return {"model": weights, "optimizer": moments(optimizer), "average": average.weights, "best": best.weights}


def meta(best: BestEpoch, epochs: int) -> dict[str, object]:
    return {"epochs": epochs, "accuracy": best.accuracy, "loss": best.loss, "epoch": best.epoch}


def restore(
    checkpoint: Checkpoint, model: RewardModel, optimizer: Optimizer, average: Average
) -> tuple[BestEpoch, int]:
    """Put a checkpoint back; return the best so far and the number of epochs done."""
    model.load_state_dict(checkpoint.tensors["model"], strict=False)
    load_moments(optimizer, checkpoint.tensors["optimizer"])
    average.load(checkpoint.tensors["average"], checkpoint.step)
    about = checkpoint.meta
    best = BestEpoch(about["accuracy"], about["loss"], about["epoch"], checkpoint.tensors["best"])
    return best, int(about["epochs"])
