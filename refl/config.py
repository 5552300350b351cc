"""All options of `rewardkit refl`, in the order of --help; imports no torch."""

from dataclasses import dataclass

from refl.objectives.table import Method
from refl.options import Adapter, Checkpoints, Guard, Machine, Rewards, Sampling, Stability, Task, Updates
from rewardkit.training.options import Run


# The sections are listed from last to first: see `rewardkit.commands.option_groups`.
@dataclass(frozen=True, kw_only=True)
class ReflConfig(Run, Checkpoints, Machine, Guard, Stability, Updates, Adapter, Sampling, Method, Rewards, Task):
    """Fine-tune a text-to-image model through rewards; the LoRA is written to the lora folder of the run."""
