"""Put trained LoRA weights on a base, as stock diffusers would.

A file holds the adapters of one or more networks: the transformer's, and those of text encoders where they were tuned
too.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diffusers.utils.peft_utils import set_weights_and_activate_adapters
from peft import LoraConfig, set_peft_model_state_dict
from torch import Tensor, nn

from rewardkit.diffusion.base import Base, TunableText
from rewardkit.diffusion.lora_file import PREFIX, LoraFile, find, read
from rewardkit.errors import UserError
from rewardkit.io.files import as_path
from rewardkit.io.loading import loading


def load_loras(base: Base, loras: str | Path | Sequence[str | Path], scales: Sequence[float] | None = None) -> None:
    """Load LoRAs (or a single one) and switch all of them on; the weights stay frozen.

    Each is a .safetensors file, or a folder with one, in any spelling that `lora_file` reads; a path such as
    `runs/refl/lora:0.8` gives a scale, which multiplies that of `scales`. Raises `UserError` for what is no LoRA, fits
    another base, or changes nothing.
    """
    given = loras if isinstance(loras, Sequence) and not isinstance(loras, str) else [loras]
    pairs = [with_scale(as_path(path, "a LoRA's folder")) for path in given]
    names = [f"lora_{index}" for index in range(len(pairs))]
    weights = [own * scale for (_, own), scale in zip(pairs, scales or [1.0] * len(pairs), strict=True)]
    files = [read(find(path), networks(base), getattr(base, "pipeline", None)) for path, _ in pairs]
    for name, (path, _), file in zip(names, pairs, files, strict=True):
        check_changes(path, file)
        with loading(f"the LoRA in {path}"):
            put_on(base, file, name)
    for network in networks(base).values() if names else ():
        known = {name: weight for name, weight in zip(names, weights, strict=True) if name in adapters(network)}
        if known:
            set_weights_and_activate_adapters(network, list(known), list(known.values()))
        network.requires_grad_(False).eval()


def with_scale(path: Path) -> tuple[Path, float]:
    """Tell a path from the scale after its last colon, if that is a number and the whole is no path that exists."""
    name, _, scale = str(path).rpartition(":")
    if path.exists() or not name:
        return path, 1.0
    try:
        number = float(scale)
    except ValueError:
        return path, 1.0
    if not math.isfinite(number):
        raise UserError(f"the scale of a LoRA is a finite number; got {path}")
    return Path(name), number


def networks(base: Base) -> dict[str, nn.Module]:
    """What an adapter can be put on, by its name in the file."""
    if isinstance(base, TunableText):
        return {PREFIX: base.denoiser, **base.tunable_text_encoders}
    return {PREFIX: base.denoiser, **base.text_encoders}


def adapters(network: nn.Module) -> Mapping[str, Any]:
    """The adapters that are on a network, by name."""
    return getattr(network, "peft_config", {})


def check_changes(path: Path, file: LoraFile) -> None:
    """Refuse a LoRA that changes nothing; say so of one with settings, which a run that learnt nothing saves."""
    if file.changes:
        return
    if not file.config:
        raise UserError(f"the LoRA in {path} changes no layer: its weights are all zero; train it, or leave it out")
    print(f"the LoRA in {path} changes nothing: its weights are all zero")


def put_on(base: Base, file: LoraFile, name: str) -> None:
    """Put a file's adapters on the networks, under a name."""
    denoiser: Any = base.denoiser
    denoiser.load_lora_adapter(dict(file.tensors), prefix=PREFIX, adapter_name=name, metadata=dict(file.config) or None)
    for prefix, network in networks(base).items():
        own = part(file.tensors, prefix)
        if prefix != PREFIX and own:
            host: Any = network
            host.add_adapter(LoraConfig(**(part(file.config, prefix) or settings(own))), adapter_name=name)
            set_peft_model_state_dict(network, own, adapter_name=name)


def part(named: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """What belongs to one network, without its name in front."""
    return {key.removeprefix(f"{prefix}."): value for key, value in named.items() if key.startswith(f"{prefix}.")}


def settings(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The settings of an adapter that a file says nothing about: each layer's own rank, and a scale of 1."""
    ranks = {key.partition(".lora_A.")[0]: len(value) for key, value in tensors.items() if ".lora_A." in key}
    first = next(iter(ranks.values()))
    return {
        "r": first,
        "lora_alpha": first,
        "target_modules": list(ranks),
        "rank_pattern": ranks,
        "alpha_pattern": ranks,
    }
