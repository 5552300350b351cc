"""The optimiser of reward models, its schedule, and its state as named tensors."""

import math
from collections.abc import Mapping

from torch import Tensor
from torch.optim import AdamW, Optimizer

from rewardkit.encoders.adapters import is_adapted
from rm.model import RewardModel


def make_optimizer(model: RewardModel, lr: float, encoder_lr: float | None, weight_decay: float) -> Optimizer:
    """AdamW; matrices decay, and vectors (biases, norms, scales) do not; a pretrained encoder has its own rate."""
    if encoder_lr is None:
        encoder_lr = 1e-4 if is_adapted(model.encoder) else 1e-5
    groups = []
    encoder_lr = encoder_lr if model.encoder.pretrained else lr
    for part, peak in ((model.heads, lr), (model.encoder, encoder_lr)):
        learning = [parameter for parameter in part.parameters() if parameter.requires_grad]
        for decay, chosen in ((weight_decay, True), (0.0, False)):
            params = [parameter for parameter in learning if (parameter.ndim > 1) == chosen]
            if params:
                groups.append({"params": params, "lr": peak, "peak": peak, "weight_decay": decay})
    return AdamW(groups, betas=(0.9, 0.99), fused=True)


def rate(step: int, total: int, warmup: float) -> float:
    """Give the share of the peak rate at a step: a linear rise over a share `warmup` of all steps, then a cosine."""
    rise = max(1, round(total * warmup))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))


def set_rate(optimizer: Optimizer, share: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share


def moments(optimizer: Optimizer) -> dict[str, Tensor]:
    """What the optimiser remembers, each tensor named by its parameter's number and its own name."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": value for index, values in state.items() for name, value in values.items()}


def load_moments(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `moments` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
