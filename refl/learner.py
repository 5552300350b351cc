"""How a LoRA learns: AdamW with a linear warm-up, clipping, and a moving average of the weights."""

from collections.abc import Mapping

from diffusers.training_utils import EMAModel
from torch import nn
from torch.optim import AdamW

from rewardkit.training.average import Average
from rewardkit.training.learner import Learner
from rewardkit.training.processes import ALONE, Processes
from rewardkit.training.schedule import linear, shares


def lora_learner(
    parameters: Mapping[str, nn.Parameter],
    *,
    lr: float,
    warmup: int,
    clip: float,
    ema: float,
    world: Processes = ALONE,
) -> Learner:
    """Build the learner of a LoRA; an `ema` of 0 is none."""
    values = list(parameters.values())
    return Learner(
        parameters,
        {"optimizer": AdamW(values, lr=lr, weight_decay=0.0, fused=True)},
        shares(lambda step: linear(step, warmup)),
        clip=clip,
        average=Average(parameters, EMAModel(values, decay=ema, foreach=True)) if ema else None,
        world=world,
    )
