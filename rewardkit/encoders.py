"""Encoders: from images and prompts to the features that reward heads read, in one forward pass of the tower.

`load_encoder(spec)` takes

- an open_clip name, with a tag or a file of weights after a slash or a colon: `ViT-B-32/openai`, `ViT-B-32:/data/x.pt`,
  or `hf-hub:owner/name`; a name alone has random weights;
- a folder in open_clip's own layout: open_clip_config.json, weights, and the tokenizer if it has one of its own;
- `seedling`: the small CLIP of the built-in base;
- `conv`: a small convolutional network trained from scratch, which reads images only (see `rewardkit.conv`).
"""

import difflib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from rewardkit.errors import UserError
from rewardkit.preprocess import Fit, Preprocess
from rewardkit.types import Images

Tokens = Float[Tensor, "batch tokens width"]
"""One vector a patch of the image, row by row."""

Embedding = Float[Tensor, "batch dim"]
"""One vector an image or a prompt; CLIP's are of unit length."""

SEEDLING = Path(__file__).parent / "seedling" / "weights" / "clip"
CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"


Colours = Float[Tensor, "batch 10"]
"""Mean and standard deviation of red, green, blue, red-green and yellow-blue over an image (see `colours`)."""


def colours(images: Images) -> Colours:
    """Measure how much colour an image has, which a tower trained to know things whatever their light forgets.

    The opponent channels are those of colourfulness (Hasler and Suesstrunk 2003). Differentiable.
    """
    red, green, blue = images.unbind(1)
    channels = torch.stack([red, green, blue, red - green, (red + green) / 2 - blue], dim=1).flatten(2)
    return torch.cat([channels.mean(-1), (channels.var(-1, correction=0) + 1e-6).sqrt()], dim=-1)


@dataclass(frozen=True)
class ImageFeatures:
    """What one forward pass of an image tower gives."""

    tokens: Tokens
    pooled: Embedding
    colours: Colours


class Encoder(nn.Module):
    """An image tower and, where there is one, the text tower beside it."""

    preprocess: Preprocess
    token_width: int
    embed_dim: int
    reads_text: bool
    pretrained: bool
    """Whether its weights come from somewhere; if not it learns as fast as the heads."""
    reference: str
    """The name that gives this very encoder again, weights and all; empty when it must be saved to be had again."""

    def image(self, images: Images) -> ImageFeatures:
        """Encode images of any size; differentiable down to the pixels."""
        raise NotImplementedError

    def text(self, prompts: Sequence[str]) -> Embedding:
        """Encode prompts; (B, embed_dim), unit length."""
        raise NotImplementedError

    def unfreeze(self, layers: int) -> None:
        """Let the last `layers` blocks of the image tower learn: 0 none, -1 all. The text tower stays as it is."""
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        """Write what `load_encoder(folder)` reads."""
        raise NotImplementedError


class ClipEncoder(Encoder):
    """A CLIP model of open_clip."""

    reads_text = True
    pretrained = True

    def __init__(
        self,
        clip: nn.Module,
        tokenizer: Callable[[list[str]], Tensor],
        model_cfg: dict[str, Any],
        preprocess: Preprocess,
        *,
        reference: str = "",
    ) -> None:
        super().__init__()
        self.clip = clip
        self.tokenizer = tokenizer
        self.model_cfg = model_cfg
        self.preprocess = preprocess
        self.reference = reference
        self.embed_dim = int(model_cfg["embed_dim"])
        clip.requires_grad_(False).eval()
        with torch.no_grad():
            self.token_width = self.image(torch.zeros(1, 3, *preprocess.size)).tokens.shape[-1]

    def image(self, images: Images) -> ImageFeatures:
        out = self.clip.visual.forward_intermediates(  # type: ignore[union-attr, operator]
            self.preprocess(images), indices=1, normalize_intermediates=True, output_fmt="NCHW"
        )
        tokens = out["image_intermediates"][-1].flatten(2).transpose(1, 2)
        return ImageFeatures(tokens, F.normalize(out["image_features"], dim=-1), colours(images))

    def tokens(self, prompts: Sequence[str]) -> Int[Tensor, "batch context"]:
        """Tokenize prompts; each is cut to the context length of the text tower."""
        return self.tokenizer(list(prompts)).to(next(self.parameters()).device)

    def text(self, prompts: Sequence[str]) -> Embedding:
        embedding: Tensor = self.clip.encode_text(self.tokens(prompts), normalize=True)  # type: ignore[operator]
        return embedding

    def unfreeze(self, layers: int) -> None:
        # open_clip counts the projection as a group of its own, the last one.
        if layers < 0:
            self.clip.visual.requires_grad_(True)
        elif layers > 0:
            self.clip.visual.lock(unlocked_groups=layers + 1)  # type: ignore[union-attr, operator]
        if layers:
            self.reference = ""

    @property
    def scale(self) -> float:
        """CLIP's own learned scale of the cosine."""
        return float(self.clip.logit_scale.detach().exp())  # type: ignore[operator]

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        settings = asdict(self.preprocess)
        settings = {**settings, "resize_mode": FIT_NAMES[settings.pop("fit")], "mode": "RGB"}
        text_cfg = dict(self.model_cfg["text_cfg"])
        if hasattr(self.tokenizer, "save_pretrained"):  # a tokenizer of its own; open_clip's default needs no files
            self.tokenizer.save_pretrained(str(folder))
            text_cfg["hf_tokenizer_name"] = text_cfg.get("hf_tokenizer_name") or "saved beside"
        config = {"model_cfg": {**self.model_cfg, "text_cfg": text_cfg}, "preprocess_cfg": settings}
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
        save_file({name: value.contiguous() for name, value in self.clip.state_dict().items()}, folder / WEIGHTS)


FIT_NAMES: dict[Fit, str] = {"crop": "shortest", "stretch": "squash", "pad": "longest", "native": "native"}


def load_encoder(spec: str, *, fit: Fit | None = None) -> Encoder:
    """Load an encoder by name or folder (see the head of this file), in float32 on the CPU, frozen.

    `fit` overrides how images are brought to its size. Raises `UserError` for a spec that names nothing.
    """
    if spec == "conv" or (Path(spec) / "conv_config.json").is_file():
        from rewardkit.conv import load_conv

        return load_conv(spec)
    if spec == "seedling":
        return load_clip_folder(SEEDLING, fit)
    if (Path(spec) / CONFIG).is_file():
        return load_clip_folder(Path(spec), fit)
    if Path(spec).exists():
        raise UserError(f"{spec} is no encoder: an open_clip folder holds {CONFIG} and weights")
    return load_clip_name(spec, fit)


def load_clip_folder(folder: Path, fit: Fit | None) -> ClipEncoder:
    """Load a folder in open_clip's layout; raise `UserError` when it has no weights."""
    import open_clip

    if not folder.is_dir():
        raise UserError(f"no such encoder folder: {folder}")
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")) and not any(folder.glob("*.pt")):
        raise UserError(f"{folder} holds {CONFIG} but no weights; put {WEIGHTS} beside it")
    source = f"local-dir:{folder}"
    try:
        clip = open_clip.create_model(source, weights_only=True)
        tokenizer = open_clip.get_tokenizer(source)
    except (ValueError, OSError, RuntimeError, SafetensorError) as error:
        raise UserError(f"cannot load the encoder in {folder}: {first_line(error)}") from error
    model_cfg = json.loads((folder / CONFIG).read_text())["model_cfg"]
    return ClipEncoder(clip, tokenizer, model_cfg, preprocess_of(clip, fit))


def load_clip_name(spec: str, fit: Fit | None) -> ClipEncoder:
    """Load an open_clip model by name, and weights by tag or file; raise `UserError` for an unknown one."""
    import open_clip

    name, weights = (spec, "") if spec.startswith("hf-hub:") else split_name(spec)
    known = open_clip.list_models()
    if not spec.startswith("hf-hub:") and name not in known:
        near = difflib.get_close_matches(name, ["seedling", "conv", *known], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"give an open_clip name, or a folder that holds {CONFIG}"
        raise UserError(f"no encoder {name!r}; {hint}")
    try:
        clip = open_clip.create_model(name, pretrained=weights or None, weights_only=True)
        tokenizer = open_clip.get_tokenizer(name)
    except (ValueError, OSError, RuntimeError, SafetensorError) as error:
        raise UserError(f"cannot load the encoder {spec}: {first_line(error)}") from error
    config = open_clip.get_model_config(name)
    if config is None:  # a hub model: its own configuration is in the cache by now
        raise UserError(f"cannot read the configuration of {spec}; download it to a folder and name the folder")
    # Random weights must be saved to be had again, and so must a file that may move; a tag is a name.
    named = weights if weights and not Path(weights).exists() else ""
    return ClipEncoder(clip, tokenizer, config, preprocess_of(clip, fit), reference=f"{name}/{named}" if named else "")


def split_name(spec: str) -> tuple[str, str]:
    """Split `NAME/TAG`, `NAME:FILE` or `NAME`."""
    for mark in (":", "/"):
        name, found, weights = spec.partition(mark)
        if found:
            return name, weights
    return spec, ""


def preprocess_of(clip: nn.Module, fit: Fit | None) -> Preprocess:
    """Read how open_clip prepares images for this model."""
    settings: dict[str, Any] = clip.visual.preprocess_cfg  # type: ignore[union-attr, assignment]
    size = settings["size"]
    height, width = (size, size) if isinstance(size, int) else size
    names = {name: key for key, name in FIT_NAMES.items()}
    return Preprocess(
        size=(int(height), int(width)),
        mean=tuple(settings["mean"]),
        std=tuple(settings["std"]),
        fit=fit or names[settings["resize_mode"]],
        interpolation="bilinear" if settings["interpolation"] == "bilinear" else "bicubic",
    )


def first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
