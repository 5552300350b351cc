"""Low-rank adapters on the towers of an encoder (LoRA, Hu et al. 2021, arXiv:2106.09685), through peft.

Every linear layer inside the chosen towers gets one. torch's own multi-head attention, which open_clip uses, has query,
key and value in one parameter and uses its output matrix without calling the module: the first is adapted, the second
cannot be. peft's own support for that module merges and unmerges the weights at every step, so they drift.
"""

import copy
from collections.abc import Sequence
from typing import TypeVar

from torch import nn

from rewardkit.errors import UserError

Model = TypeVar("Model", bound=nn.Module)


def add_lora(model: nn.Module, prefixes: Sequence[str], *, rank: int, alpha: float) -> None:
    """Add adapters of a rank to the linear layers whose names start with one of `prefixes`; freeze everything else.

    Their output is scaled by alpha / rank. Raises `UserError` for a rank below 1, or if there are adapters already.
    """
    from peft import LoraConfig, inject_adapter_in_model

    if rank < 1:
        raise UserError(f"the rank of LoRA must be 1 or more; got {rank}")
    if is_adapted(model):
        raise UserError("this encoder has LoRA layers already; save it to merge them, then load and adapt it again")
    linear, attention = targets(model, prefixes)
    model.requires_grad_(False)
    inject_adapter_in_model(
        LoraConfig(r=rank, lora_alpha=alpha, target_modules=linear, target_parameters=attention or None), model
    )


def targets(model: nn.Module, prefixes: Sequence[str]) -> tuple[list[str], list[str]]:
    """Name the linear layers to adapt, and the parameters of torch's own attention."""
    inside = [(name, module) for name, module in model.named_modules() if name.startswith(tuple(prefixes))]
    attention = [name for name, module in inside if isinstance(module, nn.MultiheadAttention)]
    linear = [
        name for name, module in inside if isinstance(module, nn.Linear) and name.rpartition(".")[0] not in attention
    ]
    return linear, [f"{name}.in_proj_weight" for name in attention]


def is_adapted(model: nn.Module) -> bool:
    from peft.tuners.tuners_utils import BaseTunerLayer

    return any(isinstance(module, BaseTunerLayer) for module in model.modules())


def merged(model: Model) -> Model:
    """Copy a model with its adapters merged into the weights; return the model itself if it has none."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    if not is_adapted(model):
        return model
    plain = copy.deepcopy(model)
    for name, module in list(plain.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            parent, _, leaf = name.rpartition(".")
            setattr(plain.get_submodule(parent), leaf, module.get_base_layer())
    return plain
