"""Read a LoRA file in whatever spelling it is saved: keys become those of diffusers (`NETWORK.LAYER.lora_A.weight`).

Known are diffusers' own, peft's (`.lora_A.NAME.weight`, `base_model.model.`), layers without their network's name,
ComfyUI's (`diffusion_model.`) and kohya's (`lora_unet_LAYER.lora_down.weight`). Other implementations' names of layers
(FLUX's `double_blocks`) are left to the converter of the base's pipeline in diffusers.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from rewardkit.errors import UserError, first_line
from rewardkit.io.loading import loading
from rewardkit.io.quiet import quiet

WEIGHTS_NAME, ALPHA_NAME = "pytorch_lora_weights.safetensors", "with_alpha.safetensors"
"""What stock diffusers reads, and the same weights with alpha as tensors, which it would refuse, for others."""
PREFIX = "transformer"
OTHER_KINDS = {
    "dora_scale": "DoRA",
    "lora_magnitude_vector": "DoRA",
    "lokr_": "LoKr",
    "hada_": "LoHa",
    "oft_": "OFT",
    "diff_b": "a full difference of weights",
    "diff": "a full difference of weights",
}
"""Parts of keys -> what they belong to, which is no LoRA or more than one."""
_SIDE = re.compile(r"\.(?:lora_([AB])(?:\.[^.]+)??|lora_(down|up)|lora\.(down|up))\.(weight|bias)$|\.(alpha)$")
_FRONTS = ("base_model.model.", "diffusion_model.", "model.diffusion_model.", "")
"""What may stand before a layer's name in the denoiser."""
_FLAT = {
    "lora_unet_": PREFIX,
    "lora_transformer_": PREFIX,
    "lora_te_": "text_encoder",
    "lora_te1_": "text_encoder",
    "lora_te2_": "text_encoder_2",
}
"""What stands before a layer's name with underscores for dots -> its network."""

Networks = Mapping[str, nn.Module]
"""What an adapter can be put on, by its name in diffusers' spelling."""


@dataclass(frozen=True)
class LoraFile:
    """The adapters of a file, in diffusers' spelling."""

    tensors: Mapping[str, Tensor]
    """With alpha multiplied in, where the file has tensors for it and no settings."""
    config: Mapping[str, Any]
    """The settings of its adapters, by network; empty where the file holds none."""

    @property
    def changes(self) -> bool:
        """Whether any layer gets a change that is not zero."""
        downs = [key for key in self.tensors if ".lora_A." in key]
        return any(self.tensors[key].any() and self.tensors[key.replace("_A.", "_B.")].any() for key in downs)


def find(path: Path) -> Path:
    """The weights file of a LoRA: the path itself, or the one in a folder; raise `UserError` where there is none."""
    if path.is_file():
        return path
    if (path / WEIGHTS_NAME).is_file():
        return path / WEIGHTS_NAME
    others = sorted(path.glob("*.safetensors"))
    if len(others) == 1:
        return others[0]
    mend = "give a .safetensors file, or the folder that `rewardkit refl` wrote"
    if others:
        mend = f"give one of its {len(others)} .safetensors files"
    raise UserError(f"no LoRA in {path}: {WEIGHTS_NAME} is missing; {mend}")


def read(path: Path, networks: Networks, pipeline: Any = None) -> LoraFile:
    """Read a file for these networks; raise `UserError` where it is no LoRA, or none of this base.

    `pipeline` is diffusers' pipeline of the base, whose converter is asked where the names are of another spelling.
    """
    tensors, config = contents(path)
    for key in tensors:
        for part, kind in OTHER_KINDS.items():
            if any(piece.startswith(part) for piece in key.split(".")[-2:]):
                raise UserError(f"{path} holds {kind} ({key}), which is not read; save it as a plain LoRA")
    names = Names(networks)
    spelt = names.spelt(tensors)
    if not spelt:
        spelt = names.spelt(converted(tensors, pipeline))
    if not spelt:
        raise UserError(f"{path} {names.why(tensors)}")
    check_whole(path, spelt, networks)
    own = config if set(spelt) == set(tensors) else {}
    return LoraFile(scaled(spelt, own), own)


def contents(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a file as they are called there, and the settings of its adapters."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            notes = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} cannot be read as safetensors ({first_line(error)}); write it again") from error
    with loading(f"the LoRA in {path}"):
        config = json.loads(notes.get("lora_adapter_metadata", "{}"))
    if not isinstance(config, dict):
        raise UserError(f"cannot load the LoRA in {path}: its lora_adapter_metadata is no object; leave it out")
    return tensors, config


class Names:
    """The layers of the networks, by every name that a file may call them."""

    def __init__(self, networks: Networks) -> None:
        layers = [(prefix, name) for prefix, network in networks.items() for name, _ in network.named_modules()]
        fronts = [(front, name) for prefix, name in layers if prefix == PREFIX for front in _FRONTS]
        flat = [(front, prefix, name) for prefix, name in layers for front, own in _FLAT.items() if own == prefix]
        self.known = {f"{front}{name}": f"{PREFIX}.{name}" for front, name in fronts}
        self.known |= {front + name.replace(".", "_"): f"{prefix}.{name}" for front, prefix, name in flat}
        self.known |= {f"{prefix}.{name}": f"{prefix}.{name}" for prefix, name in layers}

    def spelt(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors in diffusers' spelling; empty where one is of no layer that is known."""
        found: dict[str, Tensor] = {}
        for key, value in tensors.items():
            side = _SIDE.search(key)
            layer = self.known.get(key[: side.start()]) if side else None
            if side is None or layer is None:
                return {}
            matrix = side[1] or {"down": "A", "up": "B"}.get(side[2] or side[3])
            found[f"{layer}.alpha" if side[5] else f"{layer}.lora_{matrix}.{side[4]}"] = value
        return found

    def why(self, tensors: Mapping[str, Tensor]) -> str:
        """Why these tensors are no LoRA of the networks: another base's layers, or another spelling."""
        if not tensors:
            return "is empty: it changes no layer of the base"
        strange = next(key for key in tensors if not self.spelt({key: tensors[key]}))
        side = _SIDE.search(strange)
        if side is None:
            return f"is no LoRA: {strange!r} is not a weight of one"
        layer = strange[: side.start()]
        for front, spelling in SPELLINGS.items():
            if layer.startswith(front):
                return (
                    f"is in {spelling}'s spelling ({strange}), and its layers are not this base's, nor does diffusers "
                    "convert them for it; save it in diffusers' spelling, or give the base it was trained on"
                )
        return (
            f"was trained on another base: this one has no {layer.removeprefix(f'{PREFIX}.')}"
            f"{'' if layer.startswith(PREFIX) else ' (and no other spelling of it is known)'}"
        )


SPELLINGS = {
    "lora_unet_": "kohya",
    "lora_te": "kohya",
    "lora_transformer_": "OneTrainer",
    "diffusion_model.": "ComfyUI",
    "double_blocks.": "Black Forest Labs",
    "single_blocks.": "Black Forest Labs",
    "base_model.model.": "peft",
}
"""How the keys of a file begin -> whose spelling that is."""


def converted(tensors: Mapping[str, Tensor], pipeline: Any) -> dict[str, Tensor]:
    """What diffusers' own converter for this pipeline makes of the tensors; empty where it has none, or fails."""
    if not hasattr(pipeline, "lora_state_dict"):
        return {}
    try:
        with quiet():
            made = type(pipeline).lora_state_dict(dict(tensors))
    except Exception:  # converters raise anything for keys they do not know; the caller names the spelling
        return {}
    found = made[0] if isinstance(made, tuple) else made
    return found if isinstance(found, dict) and all(isinstance(value, Tensor) for value in found.values()) else {}


def check_whole(path: Path, tensors: Mapping[str, Tensor], networks: Networks) -> None:
    """Raise `UserError` for half a layer, and for matrices that do not fit together or to their layer."""
    for layer in dict.fromkeys(key[: found.start()] for key in tensors if (found := _SIDE.search(key))):
        down, up = (tensors.get(f"{layer}.lora_{matrix}.weight") for matrix in "AB")
        if down is None or up is None:
            raise UserError(f"{path} is not whole: {layer} has no lora_{'A' if down is None else 'B'}")
        prefix, _, name = layer.partition(".")
        weight = getattr(networks[prefix].get_submodule(name), "weight", None)
        if not isinstance(weight, Tensor) or not down.numel() or not up.numel():
            raise UserError(f"{path} was trained on another base: this one has no weights at {layer}")
        sides = (up.shape[:1], down.shape[1:2], down.shape[:1])
        if sides != (weight.shape[:1], weight.shape[1:2], up.shape[1:2]):
            raise UserError(
                f"{path} was trained on another base: its matrices for {layer} are {tuple(down.shape)} and "
                f"{tuple(up.shape)}, the layer is {tuple(weight.shape)}"
            )


def scaled(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Multiply alpha / rank into B where the file has alpha as a tensor; its settings, if any, hold it already."""
    found = {key: value for key, value in tensors.items() if not key.endswith(".alpha")}
    for key, alpha in tensors.items():
        if key.endswith(".alpha") and not config:
            layer = key.removesuffix(".alpha")
            value, rank = float(alpha), len(tensors[f"{layer}.lora_A.weight"])
            if not math.isfinite(value):
                raise UserError(f"{key} is {value}; a LoRA's alpha is a finite number")
            found[f"{layer}.lora_B.weight"] = found[f"{layer}.lora_B.weight"] * (value / rank)
    return found
