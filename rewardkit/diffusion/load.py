"""Load a base: the pipeline class in a diffusers folder's `model_index.json` determines the family."""

import importlib
from pathlib import Path

import torch

from rewardkit.diffusion.base import Base, Family
from rewardkit.errors import UserError, first_line
from rewardkit.training.device import pick_device

FAMILIES = {
    "StableDiffusion3Pipeline": "rewardkit.diffusion.families.sd3:StableDiffusion3Base",
    "FluxPipeline": "rewardkit.diffusion.families.flux:FluxBase",
    "QwenImagePipeline": "rewardkit.diffusion.families.qwen_image:QwenImageBase",
    "ZImagePipeline": "rewardkit.diffusion.families.z_image:ZImageBase",
    "SanaPipeline": "rewardkit.diffusion.families.sana:SanaBase",
    "PixArtSigmaPipeline": "rewardkit.diffusion.families.pixart_sigma:PixArtSigmaBase",
    "Lumina2Pipeline": "rewardkit.diffusion.families.lumina2:Lumina2Base",
    "HunyuanImagePipeline": "rewardkit.diffusion.families.hunyuan_image:HunyuanImageBase",
    "SeedlingPipeline": "rewardkit.diffusion.families.seedling:SeedlingBase",
}
"""Pipeline class named in `model_index.json` -> the class that adapts it; imported on use."""

BUILT_IN = {"seedling": Path(__file__).parents[1] / "seedling" / "weights" / "base"}


def load_base(spec: str, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> Base:
    """Load a base: "seedling", a folder in diffusers format, or a hub id; raise `UserError` for anything else.

    `dtype` is that of the denoiser and the text encoders; the image decoder stays in float32, because rewards are
    differentiated through it.
    """
    folder = str(BUILT_IN.get(spec, spec))
    kind = family(spec, pipeline_class(folder))
    from rewardkit.io.loading import loading
    from rewardkit.io.quiet import quiet

    with loading(f"the base {spec!r}"), quiet():
        return kind.load(folder, pick_device(device), dtype)


def family(spec: str, pipeline: str) -> Family:
    """The class that adapts a pipeline class; raise `UserError` if there is none."""
    if pipeline not in FAMILIES:
        raise UserError(f"base {spec!r} is a {pipeline}, which is not supported; supported are {', '.join(FAMILIES)}")
    module, _, name = FAMILIES[pipeline].partition(":")
    found: Family = getattr(importlib.import_module(module), name)
    return found


def pipeline_class(spec: str) -> str:
    """Name of the pipeline class in a diffusers folder or hub id."""
    from diffusers import DiffusionPipeline

    if Path(spec).exists() and not (Path(spec) / "model_index.json").is_file():
        raise UserError(f"{spec} has no model_index.json; give a folder written by a pipeline's save_pretrained")
    try:
        config = DiffusionPipeline.load_config(spec)
    except Exception as error:  # the file may be anything
        reason = first_line(error)
        raise UserError(
            f"no base model {spec!r}: it is neither a folder in diffusers format, nor a hub id that can be read "
            f"({reason}); built in: {', '.join(BUILT_IN)}"
        ) from error
    for name, part in config.items():
        if isinstance(part, list) and part[:1] == ["transformers"] and str(part[-1]).startswith("Auto"):
            # Such a class reads from the folder which code to run, and prompts on the terminal.
            raise UserError(
                f"base {spec!r}: its {name} is a {part[-1]}, which may run code from the folder; name "
                "the class itself in model_index.json"
            )
    return str(config.get("_class_name", "pipeline without a class name"))
