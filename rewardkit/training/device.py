"""Device and dtype by name. Does not import torch at the top.

`auto` is the GPU if torch sees one, else the CPU; and bfloat16 on a GPU, float32 on a CPU.
"""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal

from rewardkit.errors import UserError

if TYPE_CHECKING:
    import torch

DTypeName = Literal["auto", "float32", "bfloat16", "float16"]

TrainingDTypeName = Literal["auto", "float32", "bfloat16"]
"""Without float16, whose gradients underflow unless the loss is scaled."""

KNOWN = "auto, cpu, cuda, cuda:1 or mps"


def pick_device(name: "str | torch.device" = "auto") -> "torch.device":
    """Convert a name to a device; raise `UserError` for an invalid name and for a device that does not exist."""
    import torch

    if isinstance(name, torch.device):
        return name
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"no device is called {name!r}; devices are {KNOWN}") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        seen = f"{count} GPU{'s' if count > 1 else ''}, numbered from 0" if count else "no GPU"
        raise UserError(f"device {name!r} is not here: torch sees {seen}; use --device auto or cpu")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError("device 'mps' is not here; use --device auto or cpu")
    if device.type not in ("cpu", "cuda", "mps"):
        raise UserError(f"device {name!r} cannot be used; devices are {KNOWN}")
    return device


def pick_dtype(name: DTypeName, device: "str | torch.device") -> "torch.dtype":
    """Convert a name to a dtype; `auto` is bfloat16 on a GPU and float32 on a CPU."""
    import torch

    if name == "auto":
        return torch.bfloat16 if pick_device(device).type == "cuda" else torch.float32
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def arithmetic(device: "str | torch.device", dtype: DTypeName) -> AbstractContextManager[None]:
    """Context in which matrix products and convolutions run in a dtype, while weights stay in theirs (autocast)."""
    import torch

    chosen = pick_dtype(dtype, device)
    return torch.autocast(pick_device(device).type, chosen, enabled=chosen != torch.float32)
