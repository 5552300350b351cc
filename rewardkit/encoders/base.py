"""The encoder interface: an image tower and, if there is one, a text tower."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rewardkit.errors import UserError
from rewardkit.images.preprocess import Preprocess
from rewardkit.images.statistics import opponent_colours
from rewardkit.types import Images

Tokens = Float[Tensor, "batch tokens width"]
"""One vector per patch of the image, row by row."""

Embedding = Float[Tensor, "batch dim"]
"""One vector per image or prompt; CLIP's have unit length."""

Colours = Float[Tensor, "batch 10"]
"""Mean and standard deviation of red, green, blue, red-green and yellow-blue over an image (see `colours`)."""


def colours(images: Images) -> Colours:
    """Measure how colourful an image is, which towers trained to recognise objects in any light ignore.

    The opponent channels are those of colourfulness (Hasler and Suesstrunk 2003). Differentiable.
    """
    channels = torch.cat([images, opponent_colours(images).transpose(0, 1)], dim=1).flatten(2)
    return torch.cat([channels.mean(-1), (channels.var(-1, correction=0) + 1e-6).sqrt()], dim=-1)


@dataclass(frozen=True)
class ImageFeatures:
    """The output of one forward pass of an image tower."""

    tokens: Tokens
    pooled: Embedding
    colours: Colours


class Encoder(nn.Module):
    """An image tower and, if there is one, a text tower."""

    preprocess: Preprocess
    token_width: int
    embed_dim: int
    reads_text: bool
    context_length: int
    """Maximum number of tokens of a prompt, including start and end tokens; 0 without a text tower."""
    pretrained: bool
    """Whether it has pretrained weights; if not, its learning rate is that of the heads."""
    reference: str
    """The name that loads this exact encoder with its weights; empty if it must be saved to be loaded again."""

    def image(self, images: Images) -> ImageFeatures:
        """Encode images of any size; differentiable down to the pixels."""
        raise NotImplementedError

    def text(self, prompts: Sequence[str]) -> Embedding:
        """Encode prompts, each truncated to `context_length` tokens; (B, embed_dim), unit length."""
        raise NotImplementedError

    def token_counts(self, prompts: Sequence[str]) -> list[int]:
        """Count the tokens of each prompt before truncation to `context_length`."""
        raise NotImplementedError

    @property
    def scale(self) -> float:
        """The model's learned scale of the cosine of image and prompt; 1 if it has none."""
        return 1.0

    def unfreeze(self, layers: int) -> None:
        """Unfreeze the last `layers` blocks of the image tower: 0 none, -1 all. The text tower stays frozen."""
        raise NotImplementedError

    def adapt(self, rank: int, alpha: float, *, text: bool = False) -> None:
        """Add LoRA layers to the image tower, and optionally to the text tower; only they are trained.

        They start at zero, are part of `state_dict`, and `save` writes them merged. Raises `UserError` if the
        encoder has no layers to adapt.
        """
        raise UserError("this encoder has no pretrained tower to adapt with LoRA; train all of it instead")

    def save(self, folder: Path) -> None:
        """Write what `load_encoder(folder)` reads."""
        raise NotImplementedError
