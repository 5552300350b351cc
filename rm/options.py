"""Options of `rewardkit train-rm`, a section each, in the order of its --help; `rm.config` puts them together."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rm.heads import Kind
from rm.objective import Loss
from rm.sources import DType


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is judged, by what, and where it goes."""

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
    members: dict[str, int] = field(default_factory=dict)
    """Heads of an axis that learn apart and score together, by axis; 1 where not given."""


@dataclass(frozen=True, kw_only=True)
class Tower:
    """How much of the encoder learns, and what it sees."""

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


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a judgement says of the scores."""

    loss: Loss = "bradley-terry"
    """bradley-terry: a tie is a label of 0.5; rao-kupper, davidson: a tie is an outcome of its own;
    plackett-luce: rank lists whole, not cut into pairs; gaussian: scores with an uncertainty."""
    tie_probability: float = 0.5
    """Chance that two equally good images are called a tie: rao-kupper, davidson."""
    mismatch: float = 0.5
    """Weight of the comparison of an image's own prompt with a wrong one (alignment and text only)."""


@dataclass(frozen=True, kw_only=True)
class Updates:
    """How far and how fast."""

    epochs: int = 20
    """Times over the training pairs."""
    batch_size: int = 128
    """Pairs a step; rank lists, for plackett-luce."""
    accumulate: int = 1
    """Parts in which a step's pairs go through the model, one after the other: less memory, the same step."""
    lr: float = 1e-3
    """Peak learning rate of the heads."""
    encoder_lr: float | None = None
    """Peak learning rate of a pretrained encoder; 1e-5 where none is given, 1e-4 for LoRA; `conv` takes `lr`."""
    weight_decay: float = 0.05
    """AdamW's weight decay, on matrices only."""
    warmup: float = 0.05
    """Share of all steps over which the learning rate rises."""
    ema: float = 0.98
    """Decay of the averaged weights, which are what is measured and kept; 0 takes the last weights."""
    patience: int = 8
    """Epochs without a better head before training stops."""
    save_every: int = 5
    """Epochs between checkpoints."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Which pairs are held out, and how the run goes."""

    holdout: float = 0.1
    """Share of the pairs held out, by group."""
    max_bad: float = 0.0
    """Share of pairs with an unreadable image to put up with."""
    seed: int = 0
    """Seeds the split, the weights, the views and the order."""
    resume: bool = False
    """Go on with the run in `out`."""
    device: str = "cpu"
    """Where to compute: cpu, cuda, mps."""
    dtype: DType = "float32"
    """Number format of the encoder's arithmetic; its weights and the heads stay in float32."""
