"""The training loop of reward heads: epochs over pairs, the best epoch of every head by held-out accuracy, resume."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Protocol, runtime_checkable

import torch
from torch import Generator, Tensor
from torch.optim import Optimizer

from rewardkit.progress import Progress
from rewardkit.run import Checkpoint, Run
from rewardkit.stats import Estimate
from rewardkit.types import PerImage, Scalar, Scores
from rm.accuracy import accuracy
from rm.average import Average
from rm.features import PairFeatures
from rm.heads import Features
from rm.losses import bradley_terry, rao_kupper
from rm.model import PROMPT_AXES, RewardModel
from rm.negatives import mismatch_loss
from rm.optim import load_moments, make_optimizer, moments, rate, set_rate
from rm.store import chunks


@runtime_checkable
class FitOptions(Protocol):
    """What the loop reads of a config."""

    @property
    def epochs(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def lr(self) -> float: ...
    @property
    def encoder_lr(self) -> float | None: ...
    @property
    def lora_rank(self) -> int: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def warmup(self) -> float: ...
    @property
    def ema(self) -> float: ...
    @property
    def mismatch(self) -> float: ...
    @property
    def tie_threshold(self) -> float: ...
    @property
    def patience(self) -> int: ...
    @property
    def save_every(self) -> int: ...


@dataclass
class Best:
    """The best epoch so far, by unit: an axis where the encoder is frozen, else the whole model, called `all`."""

    accuracy: dict[str, float] = field(default_factory=dict)
    loss: dict[str, float] = field(default_factory=dict)
    epoch: dict[str, int] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)

    def beats(self, unit: str, accuracy: float, loss: float) -> bool:
        """Say whether figures beat the best ones; of two equal accuracies the lower loss is better."""
        return unit not in self.epoch or (accuracy, -loss) > (self.accuracy[unit], -self.loss[unit])

    def epoch_of(self, axis: str) -> int:
        return self.epoch.get(axis, self.epoch.get("all", 0))


@dataclass(frozen=True)
class Held:
    """How an axis does on held-out pairs."""

    accuracy: Estimate
    loss: float


def fit(model: RewardModel, train: PairFeatures, held: PairFeatures, run: Run, options: FitOptions) -> Best:
    """Train until the epochs or the patience end; leave the best weights in the model."""
    optimizer = optimizer_of(model, options)
    per_epoch = math.ceil(len(train) / options.batch_size)
    total = per_epoch * options.epochs
    best, start, average = Best(), 0, Average(model, options.ema)
    checkpoint = run.latest()
    if checkpoint is not None:
        best, start = restore(checkpoint, model, optimizer, average)
    with Progress("train-rm", total, start * per_epoch) as bar:
        for epoch in range(start, options.epochs):
            if epoch - max(best.epoch.values(), default=epoch) >= options.patience:
                break
            losses = train_epoch(model, optimizer, average, train, run, options, epoch * per_epoch, total, bar)
            with average.worn():
                found = measure(model, held, options.batch_size)
                keep_best(best, model, found, epoch)
            step = (epoch + 1) * per_epoch
            run.log(step, {"epoch": float(epoch + 1), **losses, **flat(found)})
            if (epoch + 1) % options.save_every == 0 or epoch + 1 == options.epochs:
                run.save(step, state(optimizer, average, best), meta(best, epoch + 1))
            bar.update(0, **losses, **{axis: one.accuracy.value for axis, one in found.items()})
    model.load_state_dict(best.weights, strict=False)
    return best


def optimizer_of(model: RewardModel, options: FitOptions) -> Optimizer:
    encoder_lr = options.encoder_lr or (1e-4 if options.lora_rank else 1e-5)
    return make_optimizer(model, lr=options.lr, encoder_lr=encoder_lr, weight_decay=options.weight_decay)


def train_epoch(
    model: RewardModel,
    optimizer: Optimizer,
    average: Average,
    train: PairFeatures,
    run: Run,
    options: FitOptions,
    step: int,
    total: int,
    bar: Progress,
) -> dict[str, float]:
    """Go once over the pairs in a random order; return the mean loss of each axis."""
    model.heads.train()  # the encoder stays as it scores: no dropout, and statistics of batches as they were learned
    sums: dict[str, list[float]] = {}
    order = torch.randperm(len(train), generator=run.generator(step, "order"))
    for rows in chunks(order, options.batch_size):
        generator = run.generator(step, "views and negatives")
        losses = pair_losses(model, train, rows, options, generator)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(list(losses.values()))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        set_rate(optimizer, rate(step, total, options.warmup))
        optimizer.step()
        average.update()
        for axis, loss in losses.items():
            sums.setdefault(f"loss/{axis}", []).append(loss.item())
        step += 1
        bar.update()
    return {name: sum(values) / len(values) for name, values in sums.items()}


def pair_losses(
    model: RewardModel, pairs: PairFeatures, rows: Tensor, options: FitOptions, generator: Generator
) -> dict[str, Scalar]:
    """Compute the loss of every axis on some pairs; one encoding serves all heads."""
    features = pairs.batch(rows, generator)
    device = features.pooled.device
    losses = {}
    for axis, scores in model.judge(features).items():
        label = pairs.labels[axis][rows].to(device)
        first, second = scores.chunk(2)
        losses[axis] = preference_loss(first, second, label, options.tie_threshold)
        if options.mismatch and axis in PROMPT_AXES:
            extra = mismatch_loss(model, axis, features, scores, label, generator)
            losses[axis] = losses[axis] + options.mismatch * extra
    return losses


def preference_loss(first: Scores, second: Scores, label: PerImage, tie_threshold: float) -> Scalar:
    """Bradley-Terry, or Rao-Kupper where ties have a threshold above 0."""
    if tie_threshold > 0:
        return rao_kupper(first, second, label, tie_threshold)
    return bradley_terry(first, second, label)


@torch.no_grad()
def judge_pairs(model: RewardModel, pairs: PairFeatures, batch_size: int) -> dict[str, tuple[Scores, Scores]]:
    """Score the two images of every pair on every axis, by axis."""
    model.eval()
    parts: dict[str, list[Tensor]] = {axis: [] for axis in model.axes}
    for rows in chunks(torch.arange(len(pairs)), batch_size):
        features: Features = pairs.batch(rows, None)
        for axis, scores in model.judge(features).items():
            parts[axis].append(torch.stack(scores.chunk(2)).cpu())
    joined = {axis: torch.cat(values, dim=1) for axis, values in parts.items()}
    return {axis: (scores[0], scores[1]) for axis, scores in joined.items()}


def measure(model: RewardModel, pairs: PairFeatures, batch_size: int) -> dict[str, Held]:
    """Measure every axis on pairs: accuracy (ties left out) and loss."""
    return {
        axis: Held(accuracy(first, second, pairs.labels[axis]), float(bradley_terry(first, second, pairs.labels[axis])))
        for axis, (first, second) in judge_pairs(model, pairs, batch_size).items()
    }


def keep_best(best: Best, model: RewardModel, found: Mapping[str, Held], epoch: int) -> None:
    """Keep the weights of every unit that got better.

    Heads on a frozen encoder are independent, so each keeps its own best epoch; where the encoder learns, all of the
    model is kept when the mean over the axes gets better.
    """
    for unit, prefix, right, loss in units(model, found):
        if best.beats(unit, right, loss):
            best.accuracy[unit], best.loss[unit], best.epoch[unit] = right, loss, epoch
            learning = {name: value for name, value in model.named_parameters() if value.requires_grad}
            best.weights |= {n: value.detach().cpu().clone() for n, value in learning.items() if n.startswith(prefix)}


def units(model: RewardModel, found: Mapping[str, Held]) -> list[tuple[str, str, float, float]]:
    """Name what is chosen on its own: (unit, prefix of its weights, accuracy, loss)."""
    if any(parameter.requires_grad for parameter in model.encoder.parameters()):
        mean = fmean(one.accuracy.value for one in found.values())
        return [("all", "", mean, fmean(one.loss for one in found.values()))]
    return [(axis, f"heads.{axis}.", one.accuracy.value, one.loss) for axis, one in found.items()]


def flat(found: Mapping[str, Held]) -> dict[str, float]:
    values = {f"accuracy/{axis}": one.accuracy.value for axis, one in found.items()}
    return values | {f"held_out_loss/{axis}": one.loss for axis, one in found.items()}


def state(optimizer: Optimizer, average: Average, best: Best) -> dict[str, dict[str, Tensor]]:
    """Everything a resumed run needs, as named tensors."""
    weights = {name: value.detach() for name, value in average.learning.items()}
    return {"model": weights, "optimizer": moments(optimizer), "average": average.weights, "best": best.weights}


def meta(best: Best, epochs: int) -> dict[str, object]:
    return {"epochs": epochs, "accuracy": best.accuracy, "loss": best.loss, "epoch": best.epoch}


def restore(checkpoint: Checkpoint, model: RewardModel, optimizer: Optimizer, average: Average) -> tuple[Best, int]:
    """Put a checkpoint back; return the best so far and the number of epochs done."""
    model.load_state_dict(checkpoint.tensors["model"], strict=False)
    load_moments(optimizer, checkpoint.tensors["optimizer"])
    average.load(checkpoint.tensors["average"], checkpoint.step)
    about = checkpoint.meta
    best = Best(about["accuracy"], about["loss"], about["epoch"], checkpoint.tensors["best"])
    return best, int(about["epochs"])
