"""A LoRA on the denoiser and on text encoders (Hu et al. 2021, arXiv:2106.09685): attach, disable, save.

Stock diffusers loads the saved files.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialise
from torch import nn

from rewardkit.diffusion.lora_file import ALPHA_NAME, PREFIX, WEIGHTS_NAME, find
from rewardkit.errors import UserError, first_line
from rewardkit.io.files import write_bytes

ADAPTER = "default"


def attach(
    denoiser: nn.Module, *, rank: int, alpha: float, targets: Sequence[str], generator: torch.Generator
) -> dict[str, nn.Parameter]:
    """Add a LoRA to every layer whose name ends in one of `targets`; return its parameters by name.

    It starts as the identity (B is zero). Its weights are at least float32, whatever the base's dtype: updates of
    1e-4 would be rounded away in bfloat16. Nothing else in the denoiser gets a gradient.
    """
    if rank < 1:
        raise UserError(f"rank must be 1 or more; got {rank}")
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets))
    host: Any = denoiser
    denoiser.requires_grad_(False)
    try:
        host.add_adapter(config, adapter_name=ADAPTER)
    except ValueError as error:
        raise UserError(f"no LoRA can be added to {', '.join(targets)}: {first_line(error)}") from error
    for name, parameter in named_parameters(denoiser).items():
        parameter.data = parameter.data.to(torch.promote_types(parameter.dtype, torch.float32))
        initialise(name, parameter, rank, generator)
    return named_parameters(denoiser)


def initialise(name: str, parameter: nn.Parameter, rank: int, generator: torch.Generator) -> None:
    """Initialise A from N(0, 1/rank^2) and B to zero, with `generator`, independent of the global seed."""
    if ".lora_B." in name:
        nn.init.zeros_(parameter)
    else:
        drawn = torch.randn(parameter.shape, generator=generator, device=generator.device)
        parameter.data.copy_(drawn / rank)


def named_parameters(denoiser: nn.Module) -> dict[str, nn.Parameter]:
    """The adapter's parameters, in the order of the network."""
    return {name: parameter for name, parameter in denoiser.named_parameters() if ".lora_" in name}


def attach_all(
    denoiser: nn.Module,
    text: Mapping[str, nn.Module],
    *,
    rank: int,
    alpha: float,
    targets: Sequence[str],
    text_targets: Sequence[str],
    random: Callable[[str], torch.Generator],
) -> dict[str, nn.Parameter]:
    """The same as `attach` for the denoiser and text encoders, whose parameters get the encoder's name as prefix."""
    parameters = attach(denoiser, rank=rank, alpha=alpha, targets=targets, generator=random("lora"))
    for prefix, encoder in text.items():
        added = attach(encoder, rank=rank, alpha=alpha, targets=text_targets, generator=random(f"lora {prefix}"))
        parameters |= {f"{prefix}.{name}": parameter for name, parameter in added.items()}
    return parameters


def take_up(parameters: Mapping[str, nn.Parameter], folder: Path, text: Collection[str] = ()) -> None:
    """Load an adapter that `save` wrote; raise `UserError` if it has another rank or other layers.

    `text` are the names of encoders that prefix their parameters.
    """
    path = find(folder)
    try:
        saved = load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path} cannot be read as safetensors ({error}); write it again") from error
    whole = {name: name if name.partition(".")[0] in text else f"{PREFIX}.{name}" for name in parameters}
    names = {name: there.replace(f".{ADAPTER}.", ".") for name, there in whole.items()}
    if set(names.values()) != set(saved) or any(saved[names[n]].shape != p.shape for n, p in parameters.items()):
        raise UserError(
            f"the LoRA in {folder} has another rank or other layers; give the --rank, --target-modules and "
            "--tune-text it had"
        )
    for name, parameter in parameters.items():
        parameter.data.copy_(saved[names[name]])


@contextmanager
def reference(denoiser: nn.Module) -> Iterator[None]:
    """Context in which the denoiser is the base model: the adapter is disabled."""
    host: Any = denoiser
    host.disable_adapters()
    try:
        yield
    finally:
        host.enable_adapters()


def save(denoiser: nn.Module, folder: Path, text: Mapping[str, nn.Module] | None = None) -> None:
    """Write the adapter so that `pipeline.load_lora_weights(folder)` loads it, including its alpha.

    The adapters of text encoders go to the same file, under the encoders' names in the pipeline. Stock diffusers reads
    alpha from the file's settings; others look for tensors, so where alpha is not the rank (their default) a second
    file has those too.
    """
    tensors: dict[str, torch.Tensor] = {}
    alphas: dict[str, torch.Tensor] = {}
    config: dict[str, object] = {}
    for prefix, network in {PREFIX: denoiser, **(text or {})}.items():
        host: Any = network
        weights = get_peft_model_state_dict(network, adapter_name=ADAPTER)
        tensors |= {f"{prefix}.{name}": value.detach().cpu().contiguous() for name, value in weights.items()}
        settings = host.peft_config[ADAPTER]
        config |= {f"{prefix}.{name}": plain(value) for name, value in settings.to_dict().items()}
        if settings.lora_alpha != settings.r:
            layers = [name.removesuffix(".lora_A.weight") for name in weights if name.endswith(".lora_A.weight")]
            alphas |= {f"{prefix}.{layer}.alpha": torch.tensor(float(settings.lora_alpha)) for layer in layers}
    # One entry only: safetensors writes several in any order, and equal weights should be equal files.
    metadata = {"lora_adapter_metadata": json.dumps(config, sort_keys=True)}
    write_bytes(folder / WEIGHTS_NAME, serialise(tensors, metadata))
    if alphas:
        write_bytes(folder / ALPHA_NAME, serialise(tensors | alphas))


def plain(value: object) -> object:
    """Convert a setting for JSON: peft has target layers in a set, whose order differs between runs."""
    return sorted(value) if isinstance(value, set) else value
