"""Human Preference Score v2 and v2.1 (arXiv:2306.09341): open_clip ViT-H/14, the whole image padded to a square."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from rewardkit.encoders.short_text import causal_embedding, each_once
from rewardkit.images.preprocess import Framed
from rewardkit.rewards.published.framing import clip_pad
from rewardkit.rewards.published.scorer import Scorer, between
from rewardkit.rewards.published.weights import Source, fitted, locate, read_state, weight_file
from rewardkit.types import Scores

MODEL: dict[str, Any] = {
    "embed_dim": 1024,
    "vision_cfg": {"image_size": 224, "layers": 32, "width": 1280, "head_width": 80, "patch_size": 14},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 1024, "heads": 16, "layers": 24},
}
"""open_clip's ViT-H-14."""

SOURCES = {
    "2.0": Source("HPSv2", "REWARDKIT_HPSV2", "xswu/HPSv2", ("HPS_v2_compressed.pt",)),
    "2.1": Source("HPSv2.1", "REWARDKIT_HPSV21", "xswu/HPSv2", ("HPS_v2.1_compressed.pt",)),
}
NAMES = {"2.0": "hpsv2", "2.1": "hpsv2.1"}


class HpsV2(Scorer):
    """The cosine itself, without the learned scale; benchmark tables print it times 100.

    The longer side is resized to the encoder's size and black fills the rest. Many reimplementations crop or stretch
    instead, and so differ on images that are not square.
    """

    axis = "alignment"
    reference = between(0.15, 0.37, "values reported for HPSv2 and v2.1")

    def __init__(self, model_cfg: dict[str, Any] | None = None, version: str = "2.1") -> None:
        import open_clip

        super().__init__()
        settings = model_cfg or MODEL
        self.name = NAMES[version]
        self.clip = open_clip.CLIP(**settings)
        self.tokenize: Callable[[list[str]], Tensor] = open_clip.SimpleTokenizer(
            context_length=settings["text_cfg"]["context_length"]
        )
        self.preprocess = clip_pad(settings["vision_cfg"]["image_size"])
        self.freeze()

    def rate(self, pixels: Framed, prompts: Sequence[str]) -> Scores:
        images = self.clip.encode_image(pixels, normalize=True)
        texts = each_once(prompts, lambda some: causal_embedding(self.clip, self.tokenize(some).to(self.device)))
        return (images * texts).sum(-1)


def load_hpsv21(
    where: str = "",
    *,
    device: torch.device | str = "cpu",
    version: str = "2.1",
    model_cfg: dict[str, Any] | None = None,
) -> HpsV2:
    """Load HPSv2.1 from its checkpoint (a file, a folder with it, or the hub)."""
    source = SOURCES[version]
    # A local folder may have the file under any name; the hub repository has both versions.
    file = weight_file(locate(source, where), replace(source, files=(*source.files, "*.safetensors")))
    state = {f"clip.{name}": value for name, value in read_state(file).items()}
    return fitted(lambda: HpsV2(model_cfg, version), state, file).to(device)


def load_hpsv2(where: str = "", *, device: torch.device | str = "cpu") -> HpsV2:
    """Load HPSv2 (v2.0)."""
    return load_hpsv21(where, device=device, version="2.0")
