"""Training heads from cached features against passing every image and prompt through the frozen towers each epoch.

Both train the same heads on the same pairs in the same order with train-rm's own step. Without augmentation they see
the same features, except for the cache's half precision; with augmentation the cache holds two views of an image and
the towers see a new view every time. Accuracy is compared on held-out pairs, pair by pair.
"""

import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.timing import Row, processor_seconds, speed_up
from rewardkit.data import PreferenceRecord
from rewardkit.encoders import Encoder
from rewardkit.io.progress import Progress
from rewardkit.stats import Estimate, paired_difference
from rewardkit.training.processes import ALONE
from rewardkit.training.run import Run
from rm import RewardModel
from rm.config import RmConfig
from rm.features import PairFeatures, pair_features
from rm.fit import Training
from rm.image_cache import ImageStore, read_images
from rm.objective import Pairs
from rm.sources import AUGMENT, LiveImages, LivePrompts, cache_images, cache_prompts
from rm.validation import judge_pairs

CPU = torch.device("cpu")


def epoch(training: Training) -> None:
    """Run one epoch of train-rm's own loop."""
    with Progress("epoch", training.total) as bar:
        training.epoch(bar)


def cached(
    name: str,
    encoder: Encoder,
    records: list[PreferenceRecord],
    folder: Path,
    *,
    validation: int,
    epochs: int,
    **options: Any,
) -> tuple[list[Row], dict[str, Estimate]]:
    """Time alternating epochs of both; return the rows, and cached minus live accuracy of every axis."""
    config = RmConfig(data=(), out=folder, epochs=epochs, **options)
    axes = tuple(records[0].label)
    run = Run.start(folder, config, resume=False)
    records, image_cache = read_images(records, encoder.preprocess, folder, max_bad=0.0)
    sources = {
        "cached": lambda: cache(encoder, image_cache, run, config),
        "live": lambda: live(encoder, image_cache, config),
    }
    filling, trainers, tests = {}, {}, {}
    for way, source in sources.items():
        began = time.process_time()
        images, prompts = source()
        filling[way] = time.process_time() - began
        train_set, tests[way] = (
            pair_features(part, image_cache, images, prompts, axes)
            for part in (records[validation:], records[: max(validation, 1)])
        )
        torch.manual_seed(0)
        model = RewardModel(encoder, axes)
        trainers[way] = Training(
            model, Pairs(train_set, config.loss, config.tie_probability, config.mismatch), run, config
        )
    times: dict[str, list[float]] = {"cached": [], "live": []}
    for number in range(epochs):
        for way in ("cached", "live") if number % 2 == 0 else ("live", "cached"):
            times[way].append(processor_seconds(partial(epoch, trainers[way])))
    pairs = len(records) - validation
    note = f"{pairs} pairs; the cache was filled in {1000 * filling['cached']:.0f} ms"
    rows = [
        speed_up(f"{name}: an epoch of heads, cached, against both towers", times["cached"], times["live"], 10, note)
    ]
    if not validation:
        return rows, {}
    right = {way: correct(trainer, tests["cached"]) for way, trainer in trainers.items()}
    return rows, {axis: paired_difference(right["live"][axis], right["cached"][axis]) for axis in axes}


def cache(encoder: Encoder, image_cache: ImageStore, run: Run, config: RmConfig) -> tuple[Any, Any]:
    source = LiveImages(encoder, image_cache, CPU, AUGMENT[config.augment], config.dtype)
    images = cache_images(source, run.generator, config.views, config.out, ALONE)
    return images, partial(cache_prompts, encoder, world=ALONE, dtype=config.dtype)


def live(encoder: Encoder, image_cache: ImageStore, config: RmConfig) -> tuple[Any, Any]:
    return LiveImages(encoder, image_cache, CPU, AUGMENT[config.augment]), lambda prompts: LivePrompts(
        encoder, prompts, CPU
    )


def correct(trainer: Training, pairs: PairFeatures) -> dict[str, list[float]]:
    """Whether each judged pair without a tie is ordered correctly (1 or 0), by axis, under the averaged weights."""
    with trainer.learner.averaged():
        scores = judge_pairs(trainer.model, pairs, 128)
    found = {}
    for axis, (first, second) in scores.items():
        label = pairs.labels[axis]
        judged = ~label.isnan() & (label != 0.5)
        found[axis] = ((first > second) == (label > 0.5))[judged].double().tolist()
    return found
