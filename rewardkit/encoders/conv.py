"""A small convolutional encoder, trained from scratch on native-resolution pixels, for axes that need no prompt.

CLIP towers downscale an image first, which removes texture (sharpness, noise, compression).
This encoder reads the original pixels: a few strided blocks, one vector per 8 x 8 pixels, and statistics over them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from rewardkit.encoders.base import Embedding, Encoder, ImageFeatures, colours
from rewardkit.errors import UserError
from rewardkit.images.preprocess import Preprocess
from rewardkit.io.files import read_object, write_json
from rewardkit.io.loading import loading
from rewardkit.types import Images

CONFIG = "conv_config.json"
WEIGHTS = "conv.safetensors"


@dataclass(frozen=True)
class ConvConfig:
    """The shape of a `ConvEncoder`."""

    width: int = 24
    """Channels after the first convolution; every block doubles them."""
    blocks: int = 2
    """Number of blocks; each halves the resolution, as does the first convolution."""


class ConvBlock(nn.Module):
    """Two 3 x 3 convolutions, the second strided.

    There is no normalisation, because it would remove the strength of fine detail, which is the texture.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, inputs, 3, padding=1, padding_mode="reflect")
        self.second = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.second(x + F.silu(self.first(x))))


class ConvEncoder(Encoder):
    """Reads images at their own resolution; has no text tower."""

    reads_text = False
    context_length = 0
    pretrained = False
    reference = ""

    def __init__(self, config: ConvConfig | None = None) -> None:
        super().__init__()
        self.config = config or ConvConfig()
        widths = [self.config.width * 2**index for index in range(self.config.blocks + 1)]
        self.stem = nn.Conv2d(3, widths[0], 4, stride=2, padding=1, padding_mode="reflect")
        self.blocks = nn.ModuleList(ConvBlock(inputs, outputs) for inputs, outputs in pairwise(widths))
        self.token_width = widths[-1]
        self.embed_dim = 2 * widths[-1]
        self.preprocess = Preprocess((64, 64), (0.5,) * 3, (0.25,) * 3, fit="native")

    def image(self, images: Images) -> ImageFeatures:
        x = F.silu(self.stem(self.preprocess(images)))
        for block in self.blocks:
            x = block(x)
        tokens = x.flatten(2).transpose(1, 2)
        return ImageFeatures(tokens, torch.cat([tokens.mean(1), tokens.amax(1)], dim=-1), colours(images))

    def text(self, prompts: Sequence[str]) -> Embedding:
        raise UserError("the encoder 'conv' reads no prompts; use a CLIP encoder for axes that depend on the prompt")

    def token_counts(self, prompts: Sequence[str]) -> list[int]:
        return [0] * len(prompts)

    def unfreeze(self, layers: int) -> None:
        self.requires_grad_(layers != 0)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / CONFIG, asdict(self.config))
        save_file(self.state_dict(), folder / WEIGHTS)


def load_conv(spec: str) -> ConvEncoder:
    """Create a new `conv` encoder, or load a saved folder."""
    if spec == "conv":
        return ConvEncoder()
    with loading(f"the encoder in {spec}"):
        encoder = ConvEncoder(ConvConfig(**read_object(Path(spec) / CONFIG)))
        encoder.load_state_dict(load_file(Path(spec) / WEIGHTS))
        return encoder
