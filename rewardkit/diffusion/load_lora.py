"""Load trained LoRA weights into a base, as stock diffusers does: folders with `pytorch_lora_weights.safetensors`.

The file has the adapters of one or more networks, each under its name in the pipeline: the transformer's, and those
of text encoders if they were trained too.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diffusers.utils.peft_utils import set_weights_and_activate_adapters
from peft import LoraConfig, set_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from rewardkit.diffusion.base import Base, TunableText
from rewardkit.errors import UserError
from rewardkit.io.files import as_path
from rewardkit.io.loading import loading

WEIGHTS_NAME = "pytorch_lora_weights.safetensors"
PREFIX = "transformer"


def load_loras(base: Base, folders: str | Path | Sequence[str | Path], scales: Sequence[float] | None = None) -> None:
    """Load the adapter of one or several folders and activate all; the weights stay frozen.

    Raise `UserError` for a folder without the weights file, or for weights that fit another base.
    """
    given = folders if isinstance(folders, Sequence) and not isinstance(folders, str) else [folders]
    paths = [as_path(folder, "a LoRA's folder") for folder in given]
    names = [f"lora_{index}" for index in range(len(paths))]
    weights = dict(zip(names, scales or [1.0] * len(names), strict=True))
    for name, folder in zip(names, paths, strict=True):
        check(folder, base)
        with loading(f"the LoRA in {folder}"):
            load(folder, base, name)
    for network in networks(base).values() if names else ():
        known = [name for name in names if name in getattr(network, "peft_config", {})]
        if known:
            set_weights_and_activate_adapters(network, known, [weights[name] for name in known])
        network.requires_grad_(False).eval()


def networks(base: Base) -> dict[str, nn.Module]:
    """The networks that can have an adapter, by name in the file."""
    return {PREFIX: base.denoiser, **(base.tunable_text_encoders if isinstance(base, TunableText) else {})}


def load(folder: Path, base: Base, name: str) -> None:
    """Load one folder's adapters under a name."""
    denoiser: Any = base.denoiser
    denoiser.load_lora_adapter(str(folder), prefix=PREFIX, weight_name=WEIGHTS_NAME, adapter_name=name)
    tensors, config = read(folder / WEIGHTS_NAME)
    for prefix, network in networks(base).items():
        own = {key.removeprefix(f"{prefix}."): value for key, value in tensors.items() if key.startswith(f"{prefix}.")}
        if prefix != PREFIX and own:
            settings = {key.removeprefix(f"{prefix}."): config[key] for key in config if key.startswith(f"{prefix}.")}
            host: Any = network
            host.add_adapter(LoraConfig(**settings), adapter_name=name)
            set_peft_model_state_dict(network, own, adapter_name=name)


def read(path: Path) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    """The tensors of a weights file, and the settings of its adapters."""
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        return tensors, json.loads((file.metadata() or {}).get("lora_adapter_metadata", "{}"))


def check(folder: Path, base: Base) -> None:
    """Refuse a folder that is not a LoRA for this base, which diffusers would treat as an empty LoRA."""
    path = folder / WEIGHTS_NAME
    if not path.is_file():
        raise UserError(f"no LoRA in {folder}: {WEIGHTS_NAME} is missing; give the folder that `rewardkit refl` wrote")
    try:
        with safe_open(path, framework="pt") as weights:
            layers = {str(key).split(".lora_")[0] for key in weights.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{path} cannot be read as safetensors ({error}); write it again") from error
    known = {f"{prefix}.{name}" for prefix, network in networks(base).items() for name, _ in network.named_modules()}
    strange = sorted(layers - known)
    if strange or not layers:
        missing = strange[0].removeprefix(f"{PREFIX}.") if strange else "any LoRA layer"
        raise UserError(f"the LoRA in {folder} was trained on another base: this one has no {missing}")
