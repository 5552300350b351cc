"""`rewardkit train-rm`: train reward heads on preference pairs."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from rewardkit.encoders import Encoder, load_encoder
from rewardkit.errors import UserError
from rewardkit.pairs import PreferenceRecord, axes_of, read_records, split
from rewardkit.run import Run
from rm.features import PairFeatures, pair_features
from rm.fit import fit, judge_pairs, measure
from rm.heads import Kind
from rm.model import RewardModel
from rm.report import curve, report, report_split
from rm.sources import AUGMENT, ImageSource, LiveImages, LivePrompts, PromptSource, cache_images, cache_prompts
from rm.store import ImageStore, read_images


@dataclass(frozen=True)
class RmConfig:
    """Train one reward model, a head an axis, on preference pairs."""

    data: tuple[Path, ...]
    """Files, folders, globs or hub ids (hub:OWNER/NAME@SPLIT) of pairs: ours or of a public set, see docs/data.md."""
    out: Path
    """Run folder; the trained model is its sub-folder rm."""
    encoder: str = "seedling"
    """seedling, an open_clip name like ViT-B-32/openai, an open_clip folder, or conv (images only, from scratch)."""
    axes: tuple[str, ...] = ()
    """Axes to train; all that the pairs judge when empty. One axis also names a plain `label` column."""
    head: Kind = "heads"
    """heads: small networks on the encoder's features; cosine: the CLIP score itself as the reward."""
    epochs: int = 20
    """Times over the training pairs."""
    batch_size: int = 128
    """Pairs a step."""
    lr: float = 1e-3
    """Peak learning rate of the heads."""
    encoder_lr: float | None = None
    """Peak learning rate of a pretrained encoder; 1e-5 where none is given, 1e-4 for LoRA; `conv` takes `lr`."""
    ema: float = 0.98
    """Decay of the averaged weights, which are what is measured and kept; 0 takes the last weights."""
    weight_decay: float = 0.05
    """AdamW's weight decay, on matrices only."""
    warmup: float = 0.05
    """Share of all steps over which the learning rate rises."""
    unfreeze: int = 0
    """Last blocks of the image tower that learn too: 0 none (features are computed once), -1 all."""
    lora_rank: int = 0
    """Above 0: the image tower learns through LoRA of this rank, its own weights frozen; saved merged."""
    lora_text: bool = False
    """LoRA on the text tower too."""
    views: int = 2
    """Views of each image that a frozen encoder sees, the image itself among them."""
    augment: Literal["light", "flip", "none"] = "light"
    """light: small shifts, softness and noise; flip: the eight ways of a square, when the encoder learns; none."""
    mismatch: float = 0.5
    """Weight of the comparison of an image's own prompt with a wrong one (alignment and text only)."""
    holdout: float = 0.1
    """Share of the pairs held out, by group."""
    tie_threshold: float = 0.0
    """Above 0: ties are an outcome of their own (Rao-Kupper) with this threshold; else a tie is a label of 0.5."""
    patience: int = 8
    """Epochs without a better head before training stops."""
    save_every: int = 5
    """Epochs between checkpoints."""
    max_bad: float = 0.0
    """Share of pairs with an unreadable image to put up with."""
    seed: int = 0
    """Seeds the split, the weights, the views and the order."""
    resume: bool = False
    """Go on with the run in `out`."""
    device: str = "cpu"
    """Where to compute: cpu, cuda, mps."""


def train(config: RmConfig) -> None:
    """Train a reward model; print its held-out accuracy and write the model to the sub-folder rm of `out`."""
    began = time.monotonic()
    check(config)
    records = [record for path in config.data for record in read_records(path, single(config.axes))]
    axes = chosen_axes(config.axes, records)
    records = [record for record in records if any(axis in record.label for axis in axes)]
    model = new_model(config, axes)
    run = Run.start(config.out, config, resume=config.resume)
    records, store = read_images(records, model.encoder.preprocess, config.out, max_bad=config.max_bad)
    sides = split(records, config.holdout, config.seed)
    check_held_out(sides[1], axes)
    images = image_source(model.encoder, store, run, config)
    prompts_of = partial(prompt_source, model.encoder, config)
    train_set, held = (pair_features(side, store, images, prompts_of, axes) for side in sides)
    report_split(*sides)
    best = fit(model, train_set, held, run, config)
    set_typical(model, train_set, config.batch_size)
    model.save(config.out / "rm")
    curve(config.out / "metrics.jsonl", config.out / "learning_curve.png")
    report(measure(model, held, config.batch_size), best, run, config.out, time.monotonic() - began)
    run.close()


def check(config: RmConfig) -> None:
    """Raise `UserError` for options that cannot work."""
    if not 0 < config.holdout < 1:
        raise UserError(f"holdout must be between 0 and 1, as the best epoch is chosen on it; got {config.holdout}")
    if config.augment == "flip" and config.unfreeze == 0 and not config.lora_rank and config.encoder != "conv":
        raise UserError("--augment flip is for an encoder that learns; add --unfreeze N, or use --augment light")
    check_lora(config)
    for name in ("epochs", "batch_size", "views", "patience", "save_every"):
        if getattr(config, name) < 1:
            raise UserError(f"{name} must be 1 or more; got {getattr(config, name)}")


def check_lora(config: RmConfig) -> None:
    if config.lora_rank < 0:
        raise UserError(f"lora_rank must be 0 (none) or more; got {config.lora_rank}")
    if config.lora_rank and config.unfreeze:
        raise UserError("--lora-rank freezes the tower's own weights and --unfreeze trains them; give one of the two")
    if config.lora_text and not config.lora_rank:
        raise UserError("--lora-text adds to LoRA on the image tower; give --lora-rank N too")


def single(axes: Sequence[str]) -> str | None:
    return axes[0] if len(axes) == 1 else None


def chosen_axes(wanted: Sequence[str], records: Sequence[PreferenceRecord]) -> tuple[str, ...]:
    """The axes to train; raise `UserError` for one that no pair judges."""
    found = axes_of(records)
    for axis in wanted:
        if axis not in found:
            raise UserError(f"no pair has a label for axis {axis!r}; the pairs judge {', '.join(found)}")
    return tuple(wanted) or found


def check_held_out(held: Sequence[PreferenceRecord], axes: Sequence[str]) -> None:
    """Raise `UserError` when an axis has no held-out pair to choose an epoch by."""
    for axis in axes:
        if not any(record.label.get(axis, 0.5) != 0.5 for record in held):
            raise UserError(f"none of {len(held)} held-out pairs judges {axis}; raise --holdout, or add pairs")


def new_model(config: RmConfig, axes: Sequence[str]) -> RewardModel:
    """Build the model of a config, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        encoder = load_encoder(config.encoder)
        encoder.requires_grad_(False)
        if config.lora_rank:
            encoder.adapt(config.lora_rank, float(config.lora_rank), text=config.lora_text)
        else:
            encoder.unfreeze(-1 if config.encoder == "conv" else config.unfreeze)
        return RewardModel(encoder, axes, head=config.head).to(config.device)


def image_source(encoder: Encoder, store: ImageStore, run: Run, config: RmConfig) -> ImageSource:
    """Cache the features of a frozen encoder; ask one that learns every time."""
    device, augment = torch.device(config.device), AUGMENT[config.augment]
    if any(parameter.requires_grad for parameter in encoder.parameters()):
        return LiveImages(encoder, store, device, augment)
    return cache_images(
        encoder,
        store,
        run.generator,
        views=config.views,
        augment=augment,
        batch_size=256,
        device=device,
        file=config.out / "cache" / "tokens.bin",
    )


def prompt_source(encoder: Encoder, config: RmConfig, prompts: Sequence[str]) -> PromptSource:
    """Encode prompts once, unless the text tower learns."""
    return LivePrompts(encoder, prompts) if config.lora_text else cache_prompts(encoder, prompts)


def set_typical(model: RewardModel, pairs: PairFeatures, batch_size: int) -> None:
    """Note the mean and the spread of each axis on the training images it judged."""
    for axis, scores in judge_pairs(model, pairs, batch_size).items():
        judged = torch.stack(scores)[:, ~pairs.labels[axis].isnan()]
        model.typical[axis] = (float(judged.mean()), max(float(judged.std()), 1e-6))
