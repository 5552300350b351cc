"""What an encoder is: an image tower and, where there is one, the text tower beside it."""

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
"""One vector a patch of the image, row by row."""

Embedding = Float[Tensor, "batch dim"]
"""One vector an image or a prompt; CLIP's are of unit length."""

Colours = Float[Tensor, "batch 10"]
"""Mean and standard deviation of red, green, blue, red-green and yellow-blue over an image (see `colours`)."""


def colours(images: Images) -> Colours:
    """Measure how much colour an image has, which a tower trained to know things whatever their light forgets.

    The opponent channels are those of colourfulness (Hasler and Suesstrunk 2003). Differentiable.
    """
    channels = torch.cat([images, opponent_colours(images).transpose(0, 1)], dim=1).flatten(2)
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
    context_length: int
    """Tokens of a prompt that are read, its start and end marks among them; 0 where no prompt is read."""
    pretrained: bool
    """Whether its weights come from somewhere; if not it learns as fast as the heads."""
    reference: str
    """The name that gives this very encoder again, weights and all; empty when it must be saved to be had again."""

    def image(self, images: Images) -> ImageFeatures:
        """Encode images of any size; differentiable down to the pixels."""
        raise NotImplementedError

    def text(self, prompts: Sequence[str]) -> Embedding:
        """Encode prompts, each cut to `context_length` tokens; (B, embed_dim), unit length."""
        raise NotImplementedError

    def token_counts(self, prompts: Sequence[str]) -> list[int]:
        """Count the tokens of each prompt before it is cut; what is over `context_length` is not read."""
        raise NotImplementedError

    @property
    def scale(self) -> float:
        """The model's own learned scale of the cosine of image and prompt; 1 where it has none."""
        return 1.0

    def unfreeze(self, layers: int) -> None:
        """Let the last `layers` blocks of the image tower learn: 0 none, -1 all. The text tower stays as it is."""
        raise NotImplementedError

    def adapt(self, rank: int, alpha: float, *, text: bool = False) -> None:
        """Add LoRA layers to the image tower, and the text tower too where asked; only they learn.

        They start as no change, are part of `state_dict`, and `save` writes them merged. Raises `UserError` where the
        encoder has no layers to adapt.
        """
        raise UserError("this encoder has no pretrained tower to adapt with LoRA; let it learn whole instead")

    def save(self, folder: Path) -> None:
        """Write what `load_encoder(folder)` reads."""
        raise NotImplementedError
