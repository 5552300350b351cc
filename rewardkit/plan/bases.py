"""A base on the meta device, built only from configuration files: a known name, a diffusers folder, or a hub id."""

import importlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rewardkit.diffusion.base import Base
from rewardkit.diffusion.load import BUILT_IN, family
from rewardkit.errors import UserError, first_line
from rewardkit.io.files import read_object
from rewardkit.io.quiet import quiet
from rewardkit.plan.dry import META

KNOWN = Path(__file__).parent / "known.toml"
FOLDER = "give a folder in diffusers format"

Part = Mapping[str, Any]
"""One part's settings, and under "class" its library and class, joined by a dot."""


@dataclass(frozen=True)
class Recipe:
    """The parts of a base, before anything is built."""

    name: str
    pipeline: str
    parts: Mapping[str, Part]


def known_bases() -> list[str]:
    """Names of bases whose sizes ship with the package."""
    return [*BUILT_IN, *read_known()["bases"]]


@cache
def read_known() -> dict[str, Any]:
    return tomllib.loads(KNOWN.read_text(encoding="utf-8"))


def recipe(spec: str) -> Recipe:
    """Read the parts of a base; raise `UserError` for an unknown name or a folder without this information."""
    known = read_known()["bases"].get(spec.lower())
    if known is not None:
        shared = read_known()["parts"]
        named = {name: part for name, part in known.items() if name != "pipeline"}
        parts = {name: shared[part] if isinstance(part, str) else part for name, part in named.items()}
        return Recipe(spec.lower(), known["pipeline"], parts)
    folder = Path(BUILT_IN.get(spec, spec))
    return from_folder(spec, folder if folder.exists() else fetched(spec))


def fetched(spec: str) -> Path:
    """Download the configuration files of a hub id, without weights."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(snapshot_download(spec, allow_patterns=["model_index.json", "*/config.json"]))
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        raise UserError(
            f"no base {spec!r}: it is neither a known size ({', '.join(known_bases())}), nor a folder in diffusers "
            f"format, nor a hub id that can be read ({first_line(error)})"
        ) from error


def from_folder(spec: str, folder: Path) -> Recipe:
    """Read `model_index.json` and the parts' own files."""
    index = read_object(folder / "model_index.json", FOLDER)
    pipeline = str(index.get("_class_name"))
    parts = {}
    for name in family(spec, pipeline).part_names():
        library, kind = index.get(name) or (None, None)
        if library is not None:
            settings = read_object(folder / name / "config.json", FOLDER)
            parts[name] = {"class": f"{library}.{kind}"} | {
                key: value for key, value in settings.items() if not key.startswith("_")
            }
    return Recipe(spec, pipeline, parts)


def build(made_of: Recipe, dtype: torch.dtype, device: torch.device = META) -> Base:
    """Build the family's base from the real classes, without data on the meta device; the VAE in float32."""
    with torch.device(device), quiet():
        modules = {name: module(part) for name, part in made_of.parts.items()}
    for name, each in modules.items():
        # `nn.Module.to`: diffusers' version warns, and transformers' requires real weights.
        nn.Module.to(each, torch.float32 if name == "vae" else dtype)
    with quiet():
        return family(made_of.name, made_of.pipeline).of_parts(modules)


def module(part: Part) -> nn.Module:
    """Build one part from its settings, on the current device."""
    library, _, name = part["class"].rpartition(".")
    if library not in ("diffusers", "transformers") and not library.startswith("rewardkit."):
        raise UserError(
            f"a part of the base is a {part['class']}; only diffusers and transformers classes are supported"
        )
    kind = getattr(importlib.import_module(library), name)
    settings = {key: value for key, value in part.items() if key != "class"}
    built: nn.Module = kind(kind.config_class(**settings)) if library == "transformers" else kind.from_config(settings)
    return built
