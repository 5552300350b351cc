"""Options of `rewardkit refl`, and which numbers make no run."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from refl.chain import bounds
from refl.objectives import WINDOWS, Objective
from rewardkit.errors import UserError


@dataclass(frozen=True)
class ReflConfig:
    """Options of `rewardkit refl`."""

    prompts: Path
    """Prompts to train on: .txt, .jsonl, .csv or .tsv."""
    out: Path
    """The run's folder; the LoRA is written to its `lora` folder."""
    rewards: tuple[str, ...]
    """What to climb: registered names, reward model folders, or module:Class; SPEC#axis picks one axis."""
    objective: Objective = "refl"
    """How rewards reach the weights: through one late step (refl), the last steps (draft-k), the last step under
    several noises (draft-lv), a step from known noise (direct-align), steps whose input is detached (drtune), or, for
    rewards without a gradient, by comparing images of a prompt (nft)."""
    grad_steps: int = 2
    """Steps that carry a graph: draft-k, drtune."""
    noises: int = 2
    """Noises averaged an image: draft-lv, nft."""
    group: int = 4
    """Images of one prompt in a row, compared with each other: nft."""
    base: str = "seedling"
    """The model to tune: "seedling", a folder in diffusers format, or a hub id."""
    start: Path | None = None
    """LoRA folder of an earlier run to go on from; its rank and layers must be this run's."""
    weights: dict[str, float] = field(default_factory=dict)
    """Weight of a reward, by its name or its axis; 1 where not given."""
    targets: dict[str, float] = field(default_factory=dict)
    """Z-score above which a reward stops pulling, by its name or its axis; 2 where not given."""
    steps: int = 150
    """Updates."""
    batch_size: int = 16
    """Images an update."""
    sampling_steps: int = 10
    """Steps from noise to image."""
    guidance: float = 1.0
    """Classifier-free guidance while sampling; 1 is none."""
    window_guidance: Literal["off", "detached", "graph"] = "detached"
    """Guidance where the graph is: off, a gradient through its conditional branch alone (detached), or through both
    branches (graph)."""
    window: tuple[float, float] | None = None
    """Which share of the chain the step with a gradient is drawn from; 0.5 1 where not given, and 0 1 for direct-align
    and nft."""
    lr: float = 3e-4
    """Learning rate of AdamW."""
    warmup: int = 10
    """Updates over which the learning rate rises to it."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    rank: int = 16
    """Rank of the LoRA."""
    alpha: float = 0.0
    """Scale of the LoRA is alpha / rank; 0 takes the rank."""
    target_modules: tuple[str, ...] = ()
    """Layers the LoRA goes to; those usual for the base where not given."""
    kl: float = 0.0
    """Weight of the squared distance to the base's velocity."""
    ema: float = 0.95
    """Decay of the averaged weights, which are what is drawn and saved; 0 takes the last weights."""
    augment: float = 1.0
    """Strength of the small shifts, blur and noise before a reward sees an image; 0 is none; nft needs none."""
    balance: bool = False
    """Let every reward pull the pixels equally hard, by its weight, however steep it is."""
    judges: tuple[str, ...] = ()
    """Rewards that are never trained on and ride along; with them the guard is on."""
    guard: bool = True
    """Stop when the judges fall or the images go to pieces, and keep the best weights; without judges it does
    nothing."""
    guard_every: int = 10
    """Updates between two looks of the guard."""
    guard_prompts: Path | None = None
    """Prompts the judges see; some of `prompts` (from noise of their own) where not given."""
    guard_images: int = 32
    """Images the judges see at each look, the same prompts and noise every time."""
    patience: int = 2
    """Bad looks in a row that stop the run."""
    grid_every: int = 25
    """Updates between two sample grids (same prompts, same noise); 0 draws none."""
    save_every: int = 25
    """Updates between two checkpoints."""
    seed: int = 0
    """Of all randomness."""
    resume: bool = False
    """Go on from the last checkpoint in `out`."""
    device: str = "cpu"
    """Where to run: cpu, cuda, cuda:1, mps."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision of the base; the LoRA, the decoder and the rewards stay in float32."""
    tensorboard: bool = False
    """Write TensorBoard event files as well."""


def window(config: ReflConfig) -> tuple[float, float]:
    """The window given, or the objective's own."""
    return config.window or WINDOWS.get(config.objective, (0.0, 1.0))


def check(config: ReflConfig) -> None:
    """Refuse numbers that make no run, before anything is loaded."""
    positive = ("steps", "batch_size", "sampling_steps", "save_every", "noises", "guard_every", "patience")
    for name in positive:
        if getattr(config, name) < 1:
            raise UserError(f"{name} must be 1 or more; got {getattr(config, name)}")
    if not 0 <= config.ema < 1:
        raise UserError(f"ema must be at least 0 and below 1; got {config.ema}")
    bounds(config.sampling_steps, window(config))
    check_objective(config)
    if config.judges and config.guard_images < 2:
        raise UserError(f"guard_images must be 2 or more, for an interval; got {config.guard_images}")


def check_objective(config: ReflConfig) -> None:
    """Refuse what the chosen objective cannot do."""
    if config.objective in ("draft-k", "drtune") and not 1 <= config.grad_steps <= config.sampling_steps:
        raise UserError(
            f"grad_steps must be between 1 and {config.sampling_steps}, the sampling steps; got {config.grad_steps}"
        )
    if config.objective != "nft":
        return
    if config.group < 2 or config.batch_size % config.group:
        raise UserError(
            f"group must be 2 or more and divide the batch of {config.batch_size}; got {config.group}; "
            "nft compares images of one prompt"
        )
    if config.balance:
        raise UserError("balance weighs gradients of rewards, and nft uses none; leave --balance out")
