"""Aesthetic predictors: a chain of linear layers without activations on the unit embedding of an image tower.

v2 (LAION, "improved aesthetic predictor") reads OpenAI's CLIP ViT-L/14 after its projection; v2.5 reads the pooled
output of SigLIP so400m. Neither reads the prompt.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPModel, SiglipVisionConfig, SiglipVisionModel

from rewardkit.encoders.transformers_clip import embedding_of
from rewardkit.images.preprocess import Framed
from rewardkit.io.files import read_object
from rewardkit.rewards.published.clip import CLIP_L14, VIT_L14, load_clip
from rewardkit.rewards.published.framing import Framing, clip_crop
from rewardkit.rewards.published.scorer import Scorer, between
from rewardkit.rewards.published.weights import Source, fit, fitted, locate, read_state, weight_file
from rewardkit.types import Scores

LAION_HEAD = Source(
    "the LAION aesthetic v2 head",
    "REWARDKIT_LAION_AESTHETIC",
    files=("*linearMSE.pth", "*aesthetic*.safetensors", "*aesthetic*.pth"),
    home="github.com/christophschuhmann/improved-aesthetic-predictor (sac+logos+ava1-l14-linearMSE.pth)",
)
V25_HEAD = Source(
    "the aesthetic predictor v2.5 head",
    "REWARDKIT_AESTHETIC_V25",
    files=("*aesthetic*.pth", "*aesthetic*.safetensors"),
    home="github.com/discus0434/aesthetic-predictor-v2-5 (models/aesthetic_predictor_v2_5.pth)",
)
SIGLIP = Source("SigLIP so400m", "REWARDKIT_SIGLIP_SO400M", "google/siglip-so400m-patch14-384", folder=True)
SO400M: dict[str, Any] = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 384,
    "patch_size": 14,
}
"""SigLIP so400m/14 at 384 pixels."""

WIDTHS = (1024, 128, 64, 16, 1)


def linear_chain(width: int, dropped: int) -> nn.Sequential:
    """Five linear layers, with (inactive) dropout after the first `dropped`, so that keys match the published ones."""
    layers: list[nn.Module] = []
    for index, out in enumerate(WIDTHS):
        layers.append(nn.Linear(width, out))
        if index < dropped:
            layers.append(nn.Dropout(0.0))
        width = out
    return nn.Sequential(*layers)


class Aesthetic(Scorer):
    """An image tower and a linear chain on its unit embedding; about 1 to 10, ordinary images 4 to 7.5."""

    axis = "aesthetic"
    head: nn.Module

    def embed(self, pixels: Framed) -> Tensor:
        raise NotImplementedError

    def rate(self, pixels: Framed, prompts: Sequence[str]) -> Scores:
        scores: Tensor = self.head(F.normalize(self.embed(pixels), dim=-1))
        return scores.squeeze(-1)


class LaionAesthetic(Aesthetic):
    """LAION aesthetic v2 on OpenAI's CLIP ViT-L/14."""

    name = "laion-aesthetic"
    reference = between(4.0, 7.5, "values of ordinary pictures; the scale is 1-10")

    def __init__(self, clip: CLIPModel) -> None:
        super().__init__()
        self.clip = clip
        self.head = linear_chain(clip.config.projection_dim, dropped=3)
        self.preprocess = clip_crop(clip.config.vision_config.image_size, half="even")
        self.freeze()

    def embed(self, pixels: Framed) -> Tensor:
        return embedding_of(self.clip.get_image_features(pixel_values=pixels))


class AestheticV25(Aesthetic):
    """Aesthetic predictor v2.5 on SigLIP so400m/14-384; above 5.5 counts as good by its author."""

    name = "aesthetic-v2.5"
    reference = between(2.0, 7.0, "the author's scale of 1-10")

    def __init__(self, tower: SiglipVisionModel) -> None:
        super().__init__()
        self.tower = tower
        self.head = linear_chain(tower.config.hidden_size, dropped=4)
        size = tower.config.image_size
        self.preprocess = Framing((size, size), (0.5,) * 3, (0.5,) * 3)
        self.freeze()

    def embed(self, pixels: Framed) -> Tensor:
        return embedding_of(self.tower(pixel_values=pixels))


def load_laion_aesthetic(where: str = "", *, device: torch.device | str = "cpu") -> LaionAesthetic:
    """Load the head from a file, or with its CLIP from one folder; else CLIP is `REWARDKIT_CLIP_L14` or the hub's."""
    path = locate(LAION_HEAD, where)
    head = weight_file(path, LAION_HEAD)
    state = {name.removeprefix("layers."): value for name, value in read_state(head).items()}
    model = LaionAesthetic(load_clip(tower_path(path, CLIP_L14), CLIP_L14, VIT_L14))
    fit(model.head, state, head)
    return model.to(device)


def load_aesthetic_v25(where: str = "", *, device: torch.device | str = "cpu") -> AestheticV25:
    """Load the head from a file, or a folder with its SigLIP; else that is `REWARDKIT_SIGLIP_SO400M` or the hub's."""
    path = locate(V25_HEAD, where)
    head = weight_file(path, V25_HEAD)
    state = {name.removeprefix("scoring_head."): value for name, value in read_state(head).items()}
    model = AestheticV25(load_siglip(tower_path(path, SIGLIP)))
    fit(model.head, state, head)
    return model.to(device)


def tower_path(path: Path, source: Source) -> Path:
    """The folder of the head if it also has the tower, else the tower's own location."""
    return path if (path / "config.json").is_file() else locate(source)


def load_siglip(path: Path) -> SiglipVisionModel:
    """Build the image tower of a SigLIP checkpoint; its text tower is not loaded."""
    file, settings = weight_file(path, SIGLIP), path / "config.json"
    config = read_object(settings) if settings.is_file() else SO400M
    size = SiglipVisionConfig(**config.get("vision_config", config))
    state = {name.removeprefix("vision_model."): value for name, value in read_state(file).items()}
    return fitted(lambda: SiglipVisionModel(size), state, file, ignore=("text_model.", "logit_scale", "logit_bias"))
