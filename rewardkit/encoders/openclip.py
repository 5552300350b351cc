"""CLIP models of open_clip as encoders: by name, from the hub or a folder, including multilingual text towers."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from rewardkit.encoders.adapters import add_lora, merged
from rewardkit.encoders.base import Embedding, Encoder, ImageFeatures, colours
from rewardkit.encoders.short_text import causal_embedding, each_once
from rewardkit.errors import UserError
from rewardkit.images.preprocess import Fit, Preprocess
from rewardkit.io.files import read_object, write_json
from rewardkit.io.loading import loading
from rewardkit.types import Images

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
TEXT_TOWER = "text_tower"
"""Sub-folder with the configuration of a transformers text tower (XLM-RoBERTa and the like)."""

CONTEXT_LENGTH = 77
"""open_clip's default number of tokens of a prompt."""

FIT_NAMES: dict[Fit, str] = {"crop": "shortest", "stretch": "squash", "pad": "longest", "native": "native"}


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
        self.context_length = int(model_cfg["text_cfg"].get("context_length", CONTEXT_LENGTH))
        clip.requires_grad_(False).eval()
        with torch.no_grad():
            self.token_width = self.image(torch.zeros(1, 3, *preprocess.size)).tokens.shape[-1]

    def image(self, images: Images) -> ImageFeatures:
        framed = self.preprocess.frame(images)
        out = self.clip.visual.forward_intermediates(  # type: ignore[union-attr, operator]
            self.preprocess.normalise(framed), indices=1, normalize_intermediates=True, output_fmt="NCHW"
        )
        tokens = out["image_intermediates"][-1].flatten(2).transpose(1, 2)
        return ImageFeatures(tokens, F.normalize(out["image_features"], dim=-1), colours(framed))

    def tokens(self, prompts: Sequence[str]) -> Int[Tensor, "batch context"]:
        """Tokenize prompts; each is truncated to the context length of the text tower."""
        return self.tokenizer(list(prompts)).to(next(self.parameters()).device)

    def text(self, prompts: Sequence[str]) -> Embedding:
        return each_once(prompts, lambda some: causal_embedding(self.clip, self.tokens(some)))

    def token_counts(self, prompts: Sequence[str]) -> list[int]:
        tokenizer: Any = self.tokenizer
        if hasattr(tokenizer, "tokenizer"):  # transformers' inside open_clip's
            return [len(ids) for ids in tokenizer.tokenizer(list(prompts)).input_ids]
        return [len(tokenizer.encode(prompt)) + 2 for prompt in prompts]

    def unfreeze(self, layers: int) -> None:
        # open_clip counts the projection as a separate group, the last one.
        if layers < 0:
            self.clip.visual.requires_grad_(True)
        elif layers > 0:
            self.clip.visual.lock(unlocked_groups=layers + 1)  # type: ignore[union-attr, operator]
        if layers:
            self.reference = ""

    def adapt(self, rank: int, alpha: float, *, text: bool = False) -> None:
        # A text tower that is not a separate module consists of attributes of the model itself.
        add_lora(self.clip, ("visual.", "text.", "transformer.") if text else ("visual.",), rank=rank, alpha=alpha)
        self.reference = ""

    @property
    def scale(self) -> float:
        return float(self.clip.logit_scale.detach().exp())  # type: ignore[operator]

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        settings = asdict(self.preprocess)
        settings = {**settings, "resize_mode": FIT_NAMES[settings.pop("fit")], "mode": "RGB"}
        text_cfg = dict(self.model_cfg["text_cfg"])
        if hasattr(self.tokenizer, "save_pretrained"):  # open_clip's default tokenizer needs no files
            self.tokenizer.save_pretrained(str(folder))
            text_cfg["hf_tokenizer_name"] = text_cfg.get("hf_tokenizer_name") or "saved beside"
        if "hf_model_name" in text_cfg:
            self.clip.text.config.save_pretrained(folder / TEXT_TOWER)  # type: ignore[union-attr, operator]
        config = {"model_cfg": {**self.model_cfg, "text_cfg": text_cfg}, "preprocess_cfg": settings}
        write_json(folder / CONFIG, config)
        weights = merged(self.clip).state_dict()
        save_file({name: value.contiguous() for name, value in weights.items()}, folder / WEIGHTS)


def load_clip_folder(folder: Path, fit: Fit | None) -> ClipEncoder:
    """Load a folder in open_clip's layout; raise `UserError` if it has no weights."""
    import open_clip

    if not folder.is_dir():
        raise UserError(f"no such encoder folder: {folder}")
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")) and not any(folder.glob("*.pt")):
        raise UserError(f"{folder} has {CONFIG} but no weights; put {WEIGHTS} next to it")
    source = f"local-dir:{folder}"
    model_cfg = read_object(folder / CONFIG).get("model_cfg", {})
    with loading(f"the encoder in {folder}"):
        refuse_code(model_cfg["text_cfg"], folder)
        clip = open_clip.create_model(
            source, weights_only=True, require_pretrained=True, **own_text_tower(folder, model_cfg)
        )
        tokenizer = open_clip.get_tokenizer(source, **only_known_code(model_cfg["text_cfg"]))
    return ClipEncoder(clip, tokenizer, model_cfg, preprocess_of(clip, fit))


def refuse_code(text_cfg: dict[str, Any], folder: Path | None = None) -> None:
    """Raise `UserError` if loading a text tower or its tokenizer would run code from its repository.

    open_clip passes a configuration's `tokenizer_kwargs`, including `trust_remote_code`, to transformers, and prompts
    on the terminal for a text tower with custom code.
    """
    from transformers import AutoConfig

    if text_cfg.get("tokenizer_kwargs", {}).get("trust_remote_code"):
        where = folder / CONFIG if folder else CONFIG
        raise UserError(
            f"{where} asks to run the tokenizer's own code (trust_remote_code), which is never done; ask "
            "its author for one without"
        )
    tower = folder / TEXT_TOWER if folder and (folder / TEXT_TOWER).is_dir() else text_cfg.get("hf_model_name")
    if tower:
        AutoConfig.from_pretrained(tower, trust_remote_code=False)


def only_known_code(text_cfg: dict[str, Any]) -> dict[str, Any]:
    """Additional arguments for a transformers tokenizer; open_clip's own runs no code anyway."""
    return {"trust_remote_code": False} if text_cfg.get("hf_tokenizer_name") else {}


def own_text_tower(folder: Path, model_cfg: dict[str, Any]) -> dict[str, Any]:
    """Point open_clip to the text tower's configuration in the folder, so that it does not download it by name."""
    if not (folder / TEXT_TOWER).is_dir():
        return {}
    tower = {"hf_model_name": str(folder / TEXT_TOWER), "hf_model_pretrained": False}
    return {"text_cfg": {**model_cfg["text_cfg"], **tower}}


def load_clip_name(spec: str, fit: Fit | None) -> ClipEncoder:
    """Load an open_clip model by name, and weights by tag or file; raise `UserError` for an unknown one."""
    import open_clip

    name, weights = (spec, "") if spec.startswith("hf-hub:") else split_name(spec)
    known = open_clip.list_models()
    if not spec.startswith("hf-hub:") and name not in known:
        near = difflib.get_close_matches(name, ["seedling", "conv", *known], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"give an open_clip name, or a folder that has {CONFIG}"
        raise UserError(f"no encoder {name!r}; {hint}")
    with loading(f"the encoder {spec}"):
        config = hub_config(name) if name.startswith("hf-hub:") else open_clip.get_model_config(name)
        refuse_code(config["text_cfg"])
        # OpenAI's weights and some others were trained with another activation than in the configuration of that name.
        quick = bool(weights) and bool(open_clip.get_pretrained_cfg(name, weights).get("quick_gelu"))
        config |= {"quick_gelu": True} if quick else {}
        clip = open_clip.create_model(name, pretrained=weights or None, weights_only=True, force_quick_gelu=quick)
        tokenizer = open_clip.get_tokenizer(name, **only_known_code(config["text_cfg"]))
    # Only a tag can be loaded again by name: random weights cannot, and a file may move.
    named = weights if weights and not Path(weights).exists() else ""
    return ClipEncoder(clip, tokenizer, config, preprocess_of(clip, fit), reference=f"{name}/{named}" if named else "")


def hub_config(name: str) -> dict[str, Any]:
    """Fetch the configuration of a hub model in open_clip's layout."""
    from huggingface_hub import hf_hub_download

    config: dict[str, Any] = read_object(Path(hf_hub_download(name.removeprefix("hf-hub:"), CONFIG)))["model_cfg"]
    return config


def split_name(spec: str) -> tuple[str, str]:
    """Split `NAME/TAG`, `NAME:FILE` or `NAME`."""
    for mark in (":", "/"):
        name, found, weights = spec.partition(mark)
        if found:
            return name, weights
    return spec, ""


def preprocess_of(clip: nn.Module, fit: Fit | None) -> Preprocess:
    """Read how open_clip preprocesses images for this model."""
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
