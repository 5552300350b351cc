"""Options of `rewardkit train-rm`, one class per section of its --help; `rm.config` combines them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rewardkit.training.device import TrainingDTypeName
from rm.names import Kind, Loss


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the model learns from, its architecture, and where it is written."""

    data: tuple[Path, ...]
    """Preference pairs: files, folders, globs or hub ids (hub:OWNER/NAME@SPLIT), in our format or that of a public
    set (docs/data.md)."""
    columns: tuple[str, ...] = ()
    """Which column of the data is which, if they are not recognised: prompt=text first=left second=right label=vote. A
    label is P(first is better), or names the better image."""
    out: Path
    """Run folder; the trained model is written to its sub-folder rm."""
    encoder: str = "seedling"
    """seedling, an open_clip name such as ViT-B-32/openai, an open_clip folder, or conv (images only, from scratch)."""
    axes: tuple[str, ...] = ()
    """Axes to train; by default all that the pairs have labels for. A single axis also names a plain `label` column."""
    head: Kind = "heads"
    """heads: small networks on the features of the encoder; cosine: the CLIP score itself is the reward."""
    members: dict[str, int] = field(default_factory=dict)
    """Ensemble size per axis: heads that train separately and whose scores are averaged; 1 by default."""


@dataclass(frozen=True, kw_only=True)
class Tower:
    """Which part of the encoder trains, and how images are augmented."""

    unfreeze: int = 0
    """Number of last blocks of the image tower to train: 0 for none (features are computed once), -1 for all."""
    lora_rank: int = 0
    """Rank of a LoRA on the image tower, whose own weights stay frozen; 0 means none. It is merged when saved."""
    lora_text: bool = False
    """Train a LoRA on the text tower too."""
    views: int = 2
    """Augmented views per image for a frozen encoder, including the image itself."""
    augment: Literal["light", "flip", "none"] = "light"
    """light: small shifts, blur and noise; flip: the eight flips and rotations, when the encoder trains; none."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """How labels relate to scores."""

    loss: Loss = "bradley-terry"
    """bradley-terry: a tie is a label of 0.5; rao-kupper, davidson: a tie is a third outcome; plackett-luce: whole
    rank lists instead of pairs; gaussian: scores with an uncertainty."""
    tie_probability: float = 0.5
    """Probability that two equally good images are labelled a tie, for rao-kupper and davidson."""
    mismatch: float = 0.5
    """Weight of the loss that compares the right prompt of an image with a wrong one (alignment and text only)."""


@dataclass(frozen=True, kw_only=True)
class Updates:
    """Epochs, batches and the optimiser."""

    epochs: int = 20
    """Passes over the training pairs."""
    batch_size: int = 128
    """Pairs per step; for plackett-luce, rank lists per step."""
    accumulate: int = 1
    """Gradient accumulation: split each batch into this many parts. Less memory, the same step."""
    lr: float = 1e-3
    """Peak learning rate of the heads."""
    encoder_lr: float | None = None
    """Peak learning rate of a pretrained encoder; by default 1e-5, or 1e-4 for LoRA. `conv` uses `lr`."""
    weight_decay: float = 0.05
    """Weight decay (AdamW), applied to matrices only."""
    warmup_share: float = 0.05
    """Fraction of all steps over which the learning rate rises linearly."""
    ema: float = 0.98
    """Decay of the moving average of the weights. The average is measured and saved; 0 uses the last weights."""
    patience: int = 8
    """Stop after this many epochs without an improvement of any head."""
    save_every_epochs: int = 5
    """Epochs between checkpoints."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Held-out pairs, device and precision."""

    held_out: float = 0.1
    """Fraction of the pairs held out for validation; pairs of one group stay together."""
    max_bad: float = 0.0
    """Largest accepted fraction of pairs with an unreadable image."""
    device: str = "auto"
    """Device: auto (the GPU if there is one), cpu, cuda or mps."""
    dtype: TrainingDTypeName = "auto"
    """Precision in which the encoder computes; its weights and the heads stay in float32."""
