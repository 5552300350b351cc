"""Options of `rewardkit refl`, one class per section of its --help; those of objectives are in their table."""

from dataclasses import dataclass, field
from pathlib import Path

from rewardkit.diffusion.config import Saving
from rewardkit.training.device import DTypeName


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is trained, on which prompts, and where the result goes."""

    prompts: Path
    """Prompts to train on: .txt, .jsonl, .json, .yaml, .csv, .tsv or .parquet, or a folder of .txt files."""
    column: str | None = None
    """Column of the prompt file that has the prompts, if not prompt, caption or text."""
    out: Path
    """The run's folder; the LoRA is written to its `lora` folder."""
    base: str = "seedling"
    """The model to tune: "seedling", a folder in diffusers format, or a hub id."""
    start: Path | None = None
    """LoRA folder of an earlier run to start from; it must have the same rank and layers as this run."""


@dataclass(frozen=True, kw_only=True)
class Rewards:
    """What is maximised: a weighted sum of z-scores, normalised on images of the base."""

    rewards: tuple[str, ...]
    """Rewards to maximise: registered names, reward model folders, or module:Class; SPEC#axis picks one axis."""
    weights: dict[str, float] = field(default_factory=dict)
    """Weight of a reward, by its name or its axis; 1 by default."""
    targets: dict[str, float] = field(default_factory=dict)
    """Z-score above which a reward has no more effect, by its name or its axis; 2 by default."""
    gates: dict[str, str] = field(default_factory=dict)
    """Prompts that a reward applies to, by its name or its axis, as COLUMN=VALUE of the prompt file, for example
    aesthetic category=portrait. All prompts by default. The text axis never applies to a prompt without quoted text."""
    balance: bool = False
    """Scale the gradient of every reward at the pixels to the same norm, times its weight."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How images are generated, in training and for the judges."""

    steps: int = 10
    """Sampling steps from noise to image."""
    guidance: float = 1.0
    """Classifier-free guidance scale while sampling; 1 means none."""


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """What is trained: a LoRA."""

    rank: int = 16
    """Rank of the LoRA."""
    alpha: float = 0.0
    """The LoRA is scaled by alpha / rank; 0 sets alpha to the rank."""
    target_modules: tuple[str, ...] = ()
    """Layers that get a LoRA; by default those usual for the base."""
    tune_text: bool = False
    """Train a LoRA of the same rank on the text encoders too: both of seedling, or the two CLIPs of SD3."""


@dataclass(frozen=True, kw_only=True)
class Updates:
    """How many updates, of what size."""

    updates: int = 150
    """Number of updates."""
    batch_size: int = 16
    """Images per update."""
    lr: float = 3e-4
    """Learning rate (AdamW)."""
    warmup: int = 10
    """Number of first updates over which the learning rate rises linearly."""


@dataclass(frozen=True, kw_only=True)
class Stability:
    """What keeps training stable and close to the base."""

    clip: float = 1.0
    """Gradients are clipped to this norm."""
    ema: float = 0.95
    """Decay of the moving average of the weights. The average is what is sampled and saved; 0 uses the last weights."""
    pretrain: Path | None = None
    """Real images with prompts: a folder with prompts.jsonl, metadata.jsonl or metadata.csv, or such a file. Their
    flow-matching loss is added to the loss of the rewards."""
    pretrain_weight: float = 1.0
    """Weight of that loss."""
    augment: float = 1.0
    """Strength of the small shifts, blur and noise applied to an image before it is scored; 0 means none. Not used by
    objectives that compare images."""


@dataclass(frozen=True, kw_only=True)
class Guard:
    """Judges, rewards that never train, score held-out prompts; the run stops when its rewards are being gamed."""

    judges: tuple[str, ...] = ()
    """Rewards that only measure and never train. Giving any turns the guard on."""
    guard: bool = True
    """Stop when the judges fall or the images break down, and keep the best weights. Needs judges."""
    guard_every: int = 10
    """Updates between two checks of the guard. After a doubtful check the interval is a quarter of this."""
    guard_prompts: Path | None = None
    """Held-out prompts for the judges. By default some of `prompts`, with separate noise."""
    guard_images: int = 32
    """Images scored at each check, with the same prompts and noise every time."""
    patience: int = 2
    """Bad checks in a row that stop the run. One is enough when the score of a judge has crashed."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Devices, precision and memory."""

    device: str = "auto"
    """Device: auto (the GPU if there is one), cpu, cuda, cuda:1 or mps."""
    reward_device: str = ""
    """Device for rewards and judges, for example a second GPU; same as `device` by default."""
    dtype: DTypeName = "auto"
    """Precision of the base: auto is bfloat16 on a GPU, float32 on a CPU. LoRA, decoder and rewards stay in float32."""
    shard: bool = False
    """Shard the frozen weights of the base across processes (FSDP2): less memory per process, more communication."""
    save_memory: Saving = "none"
    """Gradient checkpointing, which saves memory and costs time: in the decoder, or in the decoder and the denoiser
    (all). The gradients are the same."""
    text_encoders: bool = True
    """Keep the text encoders in memory. Without them all prompts are encoded first and the encoders are freed."""
    plan: str = ""
    """GPU to plan for, such as rtx-4090 or h100: print the memory and time this run needs there, then exit."""


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """How often the run saves its state and shows samples."""

    save_every: int = 25
    """Updates between two checkpoints."""
    grid_every: int = 25
    """Updates between two sample grids (same prompts, same noise); 0 means none."""
