"""CLIPScore and PickScore: the cosine of a CLIP model's two embeddings, each with its own scale."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoTokenizer, CLIPConfig, CLIPModel

from rewardkit.encoders.short_text import each_once, until_the_end
from rewardkit.encoders.transformers_clip import embedding_of
from rewardkit.errors import UserError
from rewardkit.images.preprocess import Framed
from rewardkit.io.files import read_object
from rewardkit.io.loading import loading
from rewardkit.rewards.published.framing import clip_crop
from rewardkit.rewards.published.scorer import Reference, Scorer, between
from rewardkit.rewards.published.weights import Source, fitted, locate, read_state, weight_file
from rewardkit.types import Scores

Tokenize = Callable[[list[str]], Tensor]
"""Prompts to token ids, (B, 77)."""

VIT_H14: dict[str, Any] = {
    "projection_dim": 1024,
    "text_config": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_attention_heads": 16,
        "num_hidden_layers": 24,
        "projection_dim": 1024,
        "hidden_act": "gelu",
    },
    "vision_config": {
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "num_attention_heads": 16,
        "num_hidden_layers": 32,
        "patch_size": 14,
        "projection_dim": 1024,
        "hidden_act": "gelu",
    },
}
"""CLIP ViT-H/14 of LAION-2B, which PickScore, HPSv2 and MPS start from (transformers' spelling)."""

VIT_L14: dict[str, Any] = {
    "projection_dim": 768,
    "text_config": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "projection_dim": 768,
    },
    "vision_config": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_attention_heads": 16,
        "num_hidden_layers": 24,
        "patch_size": 14,
        "projection_dim": 768,
    },
}
"""OpenAI's CLIP ViT-L/14 (transformers' spelling; quick GELU is its default)."""

PICKSCORE = Source("PickScore", "REWARDKIT_PICKSCORE", "yuvalkirstain/PickScore_v1", folder=True)
CLIP_L14 = Source("CLIP ViT-L/14", "REWARDKIT_CLIP_L14", "openai/clip-vit-large-patch14", folder=True)


def load_clip(path: Path, source: Source, default: dict[str, Any]) -> CLIPModel:
    """Build a transformers CLIP from a folder (with its config.json) or a weight file (with the config `default`)."""
    file = weight_file(path, source)
    settings = path / "config.json"
    config = CLIPConfig.from_dict(read_object(settings) if settings.is_file() else default)
    return fitted(lambda: CLIPModel(config), read_state(file), file)


def load_tokenizer(path: Path, length: int = 77, *, pad_with_end: bool = False) -> Tokenize:
    """The tokenizer in a folder, else CLIP's own, which needs no files; prompts are truncated and padded to `length`.

    The padding matters only to models that read it (MPS): open_clip pads with 0, transformers with the end token.
    """
    if any((path / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        with loading(f"the tokenizer in {path}"):
            own = AutoTokenizer.from_pretrained(path, trust_remote_code=False)

        def tokenize(prompts: list[str]) -> Tensor:
            rows = own(prompts, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
            ids: Tensor = rows.input_ids
            return ids

        return tokenize
    import open_clip

    simple = open_clip.SimpleTokenizer(context_length=length)

    def tokenize_simply(prompts: list[str]) -> Tensor:
        ids: Tensor = simple(prompts)
        after = (ids == simple.eot_token_id).cumsum(-1) > 0
        return ids.masked_fill(after, simple.eot_token_id) if pad_with_end else ids

    return tokenize_simply


class ClipCosine(Scorer):
    """A transformers CLIP whose cosine, scaled, is the score."""

    axis = "alignment"

    def __init__(self, clip: CLIPModel, tokenize: Tokenize) -> None:
        super().__init__()
        self.clip = clip
        self.tokenize = tokenize
        self.preprocess = clip_crop(clip.config.vision_config.image_size)
        self.freeze()

    def cosine(self, pixels: Framed, prompts: Sequence[str]) -> Scores:
        """Cosine of each image with its own prompt, in [-1, 1]."""
        images = embedding_of(self.clip.get_image_features(pixel_values=pixels))
        texts = each_once(prompts, self.text)
        return (F.normalize(images, dim=-1) * F.normalize(texts, dim=-1)).sum(-1)

    def text(self, prompts: list[str]) -> Tensor:
        ids = until_the_end(self.tokenize(prompts).to(self.device), self.clip.config.text_config.eos_token_id)
        return embedding_of(self.clip.get_text_features(input_ids=ids))


class PickScore(ClipCosine):
    """PickScore v1: a CLIP ViT-H/14 tuned on Pick-a-Pic, cosine times the learned scale (arXiv:2305.01569)."""

    name = "pickscore"
    reference = between(16.0, 26.0, "values reported by users of PickScore v1")

    def rate(self, pixels: Framed, prompts: Sequence[str]) -> Scores:
        scale: nn.Parameter = self.clip.logit_scale
        return scale.exp() * self.cosine(pixels, prompts)


CONVENTIONS: dict[str, tuple[str, str, Reference]] = {
    "torchmetrics": ("clipscore", "", between(20.0, 35.0, "100 max(cos, 0), usual cosines 0.20-0.35")),
    "hf": ("clipscore-hf", "", between(20.0, 35.0, "100 cos, usual cosines 0.20-0.35")),
    "paper": ("clipscore-paper", "A photo depicts ", between(0.5, 0.875, "2.5 max(cos, 0), usual cosines 0.20-0.35")),
}
"""Convention -> its name as a reward, its prefix of the prompt, and its usual range."""


class ClipScore(ClipCosine):
    """CLIPScore (arXiv:2104.08718) under one of three published conventions.

    `torchmetrics`: 100 max(cos, 0). `hf`: 100 cos, the logits of transformers' CLIP; the only one with a gradient
    everywhere. `paper`: 2.5 max(cos, 0), with "A photo depicts " before the prompt.
    """

    def __init__(self, clip: CLIPModel, tokenize: Tokenize, convention: str = "torchmetrics") -> None:
        if convention not in CONVENTIONS:
            raise UserError(f"CLIPScore has no convention {convention!r}; it has {', '.join(CONVENTIONS)}")
        super().__init__(clip, tokenize)
        self.convention = convention
        self.name, self.prefix, self.reference = CONVENTIONS[convention]

    def rate(self, pixels: Framed, prompts: Sequence[str]) -> Scores:
        cosine = self.cosine(pixels, [self.prefix + prompt for prompt in prompts])
        if self.convention == "hf":
            return 100 * cosine
        return (2.5 if self.convention == "paper" else 100) * cosine.clamp(min=0)


def load_pickscore(where: str = "", *, device: torch.device | str = "cpu") -> PickScore:
    """Load PickScore v1 from a folder, a weight file, or the hub."""
    path = locate(PICKSCORE, where)
    return PickScore(load_clip(path, PICKSCORE, VIT_H14), load_tokenizer(path)).to(device)


def load_clipscore(
    where: str = "", *, device: torch.device | str = "cpu", convention: str = "torchmetrics"
) -> ClipScore:
    """Load CLIPScore on any transformers CLIP; without `where` OpenAI's ViT-L/14."""
    path = locate(CLIP_L14, where)
    return ClipScore(load_clip(path, CLIP_L14, VIT_L14), load_tokenizer(path), convention).to(device)


def load_clipscore_hf(where: str = "", *, device: torch.device | str = "cpu") -> ClipScore:
    """CLIPScore as 100 times the cosine."""
    return load_clipscore(where, device=device, convention="hf")


def load_clipscore_paper(where: str = "", *, device: torch.device | str = "cpu") -> ClipScore:
    """CLIPScore as in its paper, 2.5 max(cos, 0)."""
    return load_clipscore(where, device=device, convention="paper")
