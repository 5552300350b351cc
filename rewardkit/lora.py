"""Put trained LoRA weights on a base, as stock diffusers would: folders with `pytorch_lora_weights.safetensors`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from rewardkit.base import Base
from rewardkit.errors import UserError

WEIGHTS_NAME = "pytorch_lora_weights.safetensors"
PREFIX = "transformer"


def load_loras(base: Base, folders: Sequence[Path], scales: Sequence[float] | None = None) -> None:
    """Load every folder's adapter and switch all of them on; the weights stay frozen.

    Raise `UserError` for a folder without the weights file, or for weights that fit another base.
    """
    denoiser: Any = base.denoiser
    names = [f"lora_{index}" for index in range(len(folders))]
    for name, folder in zip(names, folders, strict=True):
        check(Path(folder), base)
        denoiser.load_lora_adapter(str(folder), prefix=PREFIX, weight_name=WEIGHTS_NAME, adapter_name=name)
    if names:
        denoiser.set_adapters(names, list(scales or [1.0] * len(names)))
        denoiser.requires_grad_(False).eval()


def check(folder: Path, base: Base) -> None:
    """Refuse a folder that is no LoRA of this base before diffusers takes it for an empty one."""
    path = folder / WEIGHTS_NAME
    if not path.is_file():
        raise UserError(f"no LoRA in {folder}: {WEIGHTS_NAME} is missing; give the folder that `rewardkit refl` wrote")
    try:
        with safe_open(path, framework="pt") as weights:
            layers = {str(key).split(".lora_")[0].removeprefix(f"{PREFIX}.") for key in weights.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{path} cannot be read as safetensors ({error}); write it again") from error
    strange = sorted(layers - {name for name, _ in base.denoiser.named_modules()})
    if strange or not layers:
        missing = strange[0] if strange else "any LoRA layer"
        raise UserError(f"the LoRA in {folder} was trained on another base: this one has no {missing}")
