"""`rewardkit train-rm`: train reward heads on preference pairs."""

import time
from collections.abc import Mapping, Sequence
from functools import partial

import torch

from rewardkit.data import PreferenceRecord, Reading, Record, as_reading, axes_of, read_and_report, split
from rewardkit.encoders import Encoder, load_encoder
from rewardkit.errors import UserError, did_you_mean
from rewardkit.training.device import pick_device
from rewardkit.training.processes import Processes, processes
from rewardkit.training.run import Run
from rm.config import RmConfig, check
from rm.features import PairFeatures, PromptsOf, pair_features
from rm.fit import fit
from rm.image_cache import ImageStore, read_images
from rm.lists import list_features, readable_lists
from rm.model import RewardModel
from rm.objective import Objective, Pairs, RankLists
from rm.report import curve, report, report_split
from rm.sources import AUGMENT, ImageSource, LiveImages, LivePrompts, PromptSource, cache_images, cache_prompts
from rm.validation import measure, set_typical


def train(config: RmConfig) -> None:
    """Train a reward model; `RmConfig` holds the options."""
    train_parts(config)


def train_parts(config: RmConfig, records: Sequence[Record] | None = None, encoder: Encoder | None = None) -> None:
    """Train on pairs, and from an encoder, that the config names or that are handed in."""
    world = processes(config.device)
    with world.hush():
        readings = None if records is None else [as_reading(records)]
        train_rank(config, world, readings, encoder)


def train_rank(config: RmConfig, world: Processes, readings: Sequence[Reading] | None, encoder: Encoder | None) -> None:
    """Train on this process's shard; the main process writes."""
    began = time.monotonic()
    check(config)
    readings = readings or [read_and_report(path, single(config.axes), config.columns) for path in config.data]
    records = [record for reading in readings for record in reading.records]
    axes = chosen_axes(config.axes, records)
    check_members(config.members, axes)
    records = [record for record in records if any(axis in record.label for axis in axes)]
    model = new_model(config, axes, encoder).to(world.device)
    run = Run.start(config.out, config, resume=config.resume, tracker=config.tracker, writes=world.is_main)
    records, image_cache = read_images(
        records, model.encoder.preprocess, config.out, max_bad=config.max_bad, world=world
    )
    sides = split(records, config.held_out, config.seed)
    check_held_out(sides[1], axes)
    images = image_source(model.encoder, image_cache, run, config, world)
    prompts_of = partial(prompt_source, model.encoder, config, world)
    train_set, validation = (pair_features(side, image_cache, images, prompts_of, axes) for side in sides)
    report_split(*sides)
    groups = {record.group for record in sides[0]}
    objective = new_objective(config, train_set, readings, groups, image_cache, prompts_of)
    best = fit(model, objective, validation, run, config, world)
    set_typical(model, train_set, config.batch_size, world)
    found = measure(model, validation, config.batch_size, world)
    if world.is_main:
        model.save(config.out / "rm")
        curve(config.out / "metrics.jsonl", config.out / "learning_curve.png")
        report(found, best, run, config.out, time.monotonic() - began)
    run.close()
    world.wait()


def single(axes: Sequence[str]) -> str | None:
    return axes[0] if len(axes) == 1 else None


def chosen_axes(wanted: Sequence[str], records: Sequence[PreferenceRecord]) -> tuple[str, ...]:
    """The axes to train; raise `UserError` for an axis that no pair judges."""
    found = axes_of(records)
    for axis in wanted:
        if axis not in found:
            raise UserError(f"no pair has a label for axis {axis!r}; the pairs judge {', '.join(found)}")
    return tuple(wanted) or found


def check_members(members: Mapping[str, int], axes: Sequence[str]) -> None:
    """Raise `UserError` for members of an axis that is not trained."""
    for axis in members:
        if axis not in axes:
            raise UserError(f"--members: no axis {axis!r} is trained; {did_you_mean(axis, axes)}")


def check_held_out(validation: Sequence[PreferenceRecord], axes: Sequence[str]) -> None:
    """Raise `UserError` if an axis has no held-out pair to choose an epoch by."""
    for axis in axes:
        if not any(record.label.get(axis, 0.5) != 0.5 for record in validation):
            raise UserError(f"none of {len(validation)} held-out pairs judges {axis}; raise --held-out, or add pairs")


def new_model(config: RmConfig, axes: Sequence[str], encoder: Encoder | None = None) -> RewardModel:
    """Build the model of a config, deterministically given the seed, on its encoder or on the given one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        encoder = load_encoder(config.encoder) if encoder is None else encoder
        encoder.requires_grad_(False)
        if config.lora_rank:
            encoder.adapt(config.lora_rank, float(config.lora_rank), text=config.lora_text)
        else:
            encoder.unfreeze(-1 if config.encoder == "conv" else config.unfreeze)
        uncertain = config.loss == "gaussian"
        model = RewardModel(encoder, axes, head=config.head, uncertain=uncertain, members=config.members)
        return model.to(pick_device(config.device))


def image_source(
    encoder: Encoder, image_cache: ImageStore, run: Run, config: RmConfig, world: Processes
) -> ImageSource:
    """Cache the features of a frozen encoder; a trained encoder computes them every time."""
    live = LiveImages(encoder, image_cache, world.device, AUGMENT[config.augment], config.dtype)
    if any(parameter.requires_grad for parameter in encoder.parameters()):
        return live
    return cache_images(live, run.generator, config.views, config.out / "cache", world)


def prompt_source(encoder: Encoder, config: RmConfig, world: Processes, prompts: Sequence[str]) -> PromptSource:
    """Encode prompts once, unless the text tower is trained."""
    if config.lora_text:
        return LivePrompts(encoder, prompts, world.device, config.dtype)
    return cache_prompts(encoder, prompts, world, config.dtype)


def new_objective(
    config: RmConfig,
    pairs: PairFeatures,
    readings: Sequence[Reading],
    groups: set[str],
    image_cache: ImageStore,
    prompts_of: PromptsOf,
) -> Objective:
    """Train on the pairs, or on the rank lists of their groups; raise `UserError` if there is no list."""
    if config.loss != "plackett-luce":
        return Pairs(pairs, config.loss, config.tie_probability, config.mismatch)
    if not any(reading.lists for reading in readings):
        raise UserError("--loss plackett-luce needs rank lists, but the data has only pairs; use bradley-terry")
    axes = tuple(pairs.labels)
    lists = [one for reading in readings for one in reading.rankings() if one.group in groups]
    kept = readable_lists(lists, image_cache, axes)
    print(f"{len(kept)} rank lists to train on, including single pairs as lists of two")
    return RankLists(list_features(kept, image_cache, pairs.images, prompts_of, axes), config.mismatch)
