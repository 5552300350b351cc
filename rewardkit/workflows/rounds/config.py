"""Options of `rewardkit rounds`."""

from dataclasses import dataclass, field
from pathlib import Path

from rewardkit.training.device import TrainingDTypeName


@dataclass(frozen=True)
class RoundsConfig:
    """Alternate between training reward models and the image model; measure each round and write one report."""

    prompts: Path
    """Prompts to train on."""
    held_out: Path
    """Prompts to evaluate on; they are never trained on."""
    data: tuple[str, ...]
    """Preference pairs to train the first reward model on; every round adds its own."""
    out: Path = Path("runs/rounds")
    """Folder of the rounds. Steps that are already done there are not repeated."""
    rounds: int = 3
    """Number of rounds."""
    labellers: tuple[str, ...] = ()
    """Rewards that label the pairs of a round, each on its axis, for example gold judges or a stronger reward model.
    Without any, a round stops until people have voted."""
    noise: dict[str, float] = field(default_factory=dict)
    """Label noise by axis, such as "text 0.15": the first wins with probability sigmoid(difference / noise)."""
    judges: tuple[str, ...] = ("ocr", "colourfulness")
    """Rewards that are never trained on and measure the held-out prompts."""
    base: str = "seedling"
    """The model to tune."""
    encoder: str = "seedling"
    """Encoder of the reward models, as for train-rm."""
    drawn: int = 400
    """Prompts per round, with two images each."""
    pairs: int = 200
    """Pairs to label per round: half are the worst cases, half are random."""
    updates: int = 40
    """ReFL updates per round."""
    measured: int = 128
    """Number of held-out prompts to evaluate on."""
    refl: Path | None = None
    """TOML file with further options for `rewardkit refl`."""
    train_rm: Path | None = None
    """TOML file with further options for `rewardkit train-rm`."""
    control: bool = False
    """Also run one round with the updates of all rounds and the first reward model, as a control."""
    seed: int = 0
    """Random seed."""
    device: str = "auto"
    """Device: auto (the GPU where there is one), cpu, cuda or mps."""
    dtype: TrainingDTypeName = "auto"
    """Precision of the image model and the reward models: auto is bfloat16 on a GPU, float32 on a CPU."""
