"""Options of `rewardkit refl`, a section each, in the order of its --help; `refl.config` puts them together."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from refl.objectives.names import ObjectiveName
from rewardkit.diffusion.checkpointing import Saving
from rewardkit.training.tracker import Tracker


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is tuned, on what, and where it goes."""

    prompts: Path
    """Prompts to train on: .txt, .jsonl, .csv or .tsv."""
    out: Path
    """The run's folder; the LoRA is written to its `lora` folder."""
    base: str = "seedling"
    """The model to tune: "seedling", a folder in diffusers format, or a hub id."""
    start: Path | None = None
    """LoRA folder of an earlier run to go on from; its rank and layers must be this run's."""


@dataclass(frozen=True, kw_only=True)
class Rewards:
    """What is climbed: z-scores on the base's own images, weighted."""

    rewards: tuple[str, ...]
    """What to climb: registered names, reward model folders, or module:Class; SPEC#axis picks one axis."""
    weights: dict[str, float] = field(default_factory=dict)
    """Weight of a reward, by its name or its axis; 1 where not given."""
    targets: dict[str, float] = field(default_factory=dict)
    """Z-score above which a reward stops pulling, by its name or its axis; 2 where not given."""
    gates: dict[str, str] = field(default_factory=dict)
    """Prompts that a reward speaks about, by its name or its axis, as COLUMN=VALUE of the file of prompts: aesthetic
    category=portrait. All where not given; but the text axis never speaks about a prompt that quotes no text."""
    balance: bool = False
    """Let every reward pull the pixels equally hard, by its weight, however steep it is."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """How rewards reach the weights."""

    objective: ObjectiveName = "refl"
    """Through one late step (refl), the last steps (draft-k), the last step under several noises (draft-lv), a step
    from known noise (direct-align), steps whose input is detached (drtune), or, for rewards without a gradient, by
    comparing images of a prompt, noised anew (nft) or on noisy steps of their own (flow-grpo)."""
    window: tuple[float, float] | None = None
    """Which share of the chain the step with a gradient is drawn from; where not given 0.2 0.8 for refl, 0.5 1 for
    drtune, and 0 1 for the others that draw steps."""
    window_guidance: Literal["off", "detached", "graph"] = "detached"
    """Guidance where the graph is: off, a gradient through its conditional branch alone (detached), or through both
    branches (graph)."""
    grad_steps: int = 2
    """Steps that carry a graph: draft-k, drtune, flow-grpo."""
    noises: int = 2
    """Noises averaged an image: draft-lv, nft."""
    group: int = 4
    """Images of one prompt in a row, compared with each other: nft, flow-grpo."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How images are drawn, in training and for the judges."""

    sampling_steps: int = 10
    """Steps from noise to image."""
    guidance: float = 1.0
    """Classifier-free guidance while sampling; 1 is none."""


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """What is trained: a LoRA."""

    rank: int = 16
    """Rank of the LoRA."""
    alpha: float = 0.0
    """Scale of the LoRA is alpha / rank; 0 takes the rank."""
    target_modules: tuple[str, ...] = ()
    """Layers the LoRA goes to; those usual for the base where not given."""
    tune_text: bool = False
    """Put a LoRA on the text encoders too, of the same rank: seedling's two, the CLIPs of SD3."""


@dataclass(frozen=True, kw_only=True)
class Updates:
    """How far and how fast."""

    steps: int = 150
    """Updates."""
    batch_size: int = 16
    """Images an update."""
    lr: float = 3e-4
    """Learning rate of AdamW."""
    warmup: int = 10
    """Updates over which the learning rate rises to it."""


@dataclass(frozen=True, kw_only=True)
class Stability:
    """What keeps the model from running off, or from gaming its rewards."""

    clip: float = 1.0
    """Largest norm of the gradient."""
    ema: float = 0.95
    """Decay of the averaged weights, which are what is drawn and saved; 0 takes the last weights."""
    kl: float | None = None
    """Weight of the squared distance to the base's velocity; 1 where not given, but 0 for draft-k and draft-lv, whose
    late steps it would hold still, and 0.01 for flow-grpo, whose gradient is weak."""
    pretrain: Path | None = None
    """Real images with prompts to stay close to: a folder with prompts.jsonl or metadata.jsonl, or such a .jsonl; their
    flow-matching loss is added to the rewards'."""
    pretrain_weight: float = 1.0
    """Weight of that loss."""
    augment: float = 1.0
    """Strength of the small shifts, blur and noise before a reward sees an image; 0 is none; nft and flow-grpo
    need none."""


@dataclass(frozen=True, kw_only=True)
class Guard:
    """Judges ride along on held-out prompts, and stop a run whose rewards are being gamed."""

    judges: tuple[str, ...] = ()
    """Rewards that are never trained on and ride along; with them the guard is on."""
    guard: bool = True
    """Stop when the judges fall or the images go to pieces, and keep the best weights; without judges it does
    nothing."""
    guard_every: int = 10
    """Updates between two looks of the guard; a quarter of it where the last look made uneasy."""
    guard_prompts: Path | None = None
    """Prompts the judges see; some of `prompts` (from noise of their own) where not given."""
    guard_images: int = 32
    """Images the judges see at each look, the same prompts and noise every time."""
    patience: int = 2
    """Bad looks in a row that stop the run; one is enough where a judge has crashed."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where it runs."""

    device: str = "cpu"
    """Where to run: cpu, cuda, cuda:1, mps."""
    reward_device: str = ""
    """Where rewards and judges run, a second card perhaps; `device` where not given."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision of the base; the LoRA, the decoder and the rewards stay in float32."""
    shard: bool = False
    """Spread the base's frozen weights over the processes, which hold less each and talk more (FSDP2)."""
    save_memory: Saving = "none"
    """Keep less for the way back and compute it again: in the decoder, or in decoder and denoiser (all); what is learnt
    is the same."""
    text_encoders: bool = True
    """Keep the text encoders; without them all prompts are read first, and their memory is free."""
    plan: str = ""
    """Card to plan for, like rtx-4090 or h100: say what memory and time the run will need there, load nothing, stop."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the run's folder keeps, and how to go on."""

    seed: int = 0
    """Of all randomness."""
    resume: bool = False
    """Go on from the last checkpoint in `out`."""
    save_every: int = 25
    """Updates between two checkpoints."""
    grid_every: int = 25
    """Updates between two sample grids (same prompts, same noise); 0 draws none."""
    tracker: Tracker = "tensorboard"
    """Where numbers go besides metrics.jsonl: TensorBoard's files in the run's folder, wandb where it is installed, or
    nowhere (none)."""
