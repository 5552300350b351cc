"""Image towers of rewards on the meta device, by the name of their backbone."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import nn

from rewardkit.encoders import ClipEncoder, load_encoder, preprocess_of
from rewardkit.encoders.openclip import CONFIG
from rewardkit.errors import UserError, did_you_mean
from rewardkit.io.files import read_object
from rewardkit.plan.dry import META
from rewardkit.types import Images, Scores

LIKE = {"pickscore": "ViT-H-14", "hpsv2": "ViT-H-14", "clipscore": "ViT-L-14", "laion": "ViT-L-14"}
"""Published scorers -> their backbone."""
WHOLE = "copy the folder again, or name its backbone instead"


class Tower(nn.Module):
    """A frozen encoder with the sum of its embedding in place of a head: one number per image."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.encoder = encoder(name)

    def forward(self, images: Images) -> Scores:
        tower: Any = self.encoder
        scores: Scores = tower.image(images).pooled.sum(-1)
        return scores


def encoder(name: str) -> nn.Module:
    """Build a tower without weights; raise `UserError` for a name open_clip does not have.

    For a folder (open_clip's layout, or a trained reward model) only configuration files are read.
    """
    name = LIKE.get(name.lower(), name)
    if Path(name).is_dir():
        return of_folder(Path(name))
    if name == "seedling":
        return load_encoder(name).to(META)
    model = re.split("[/:]", name)[0]  # the rest names the weights
    config = open_clip.get_model_config(model)
    if config is None:
        raise UserError(f"no backbone {name!r}; {did_you_mean(name, [*LIKE, 'seedling', *open_clip.list_models()])}")
    logging.disable(logging.WARNING)  # open_clip warns that there are no weights, as intended
    try:
        with torch.device(META):
            clip = open_clip.create_model(model, pretrained=None, device="meta").eval()
            return ClipEncoder(clip, untold, config, preprocess_of(clip, None))
    finally:
        logging.disable(logging.NOTSET)


def of_folder(folder: Path) -> nn.Module:
    """Build the tower described by a folder's configuration files; raise `UserError` if there is none."""
    if (folder / CONFIG).is_file():
        return of_open_clip(read_object(folder / CONFIG, WHOLE))
    about = folder / "config.json"
    inside = read_object(about, WHOLE).get("encoder") if about.is_file() else None
    if inside is None:
        raise UserError(f"{folder} has neither {CONFIG} nor a reward model's config.json; name its backbone instead")
    return encoder(str(folder / inside) if (folder / inside).is_dir() else inside)


def of_open_clip(about: Mapping[str, Any]) -> nn.Module:
    """Build the tower of an open_clip folder's configuration."""
    config = dict(about["model_cfg"])
    kind: Any = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    with torch.device(META):
        clip = kind(**config).eval()
        clip.visual.preprocess_cfg = about["preprocess_cfg"]
        return ClipEncoder(clip, untold, config, preprocess_of(clip, None))


def untold(_: list[str]) -> torch.Tensor:
    raise RuntimeError("a planned tower has no text encoder")
