"""Gold judges of the posters world: they know the true quality of any poster. Training never uses them.

Alignment is measured by geometry and colour (`measure`), aesthetic by a published formula, text by a real OCR
engine. Their scores on correct renderings and shuffled captions are in docs/posters.md.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from rewardkit.images.statistics import opponent_colours
from rewardkit.ocr import Engine, OcrReward
from rewardkit.posters.captions import parse
from rewardkit.posters.measure import measure
from rewardkit.posters.scene import CHOICES
from rewardkit.types import Images, Scores

MEASURED = ("shape", "colour", "position", "size", "background")
"""What alignment counts; the finish belongs to the aesthetic axis."""
COLOURFUL = 109.0
"""Colourfulness that viewers rated as extreme (Hasler & Süsstrunk 2003, table 2)."""
CONTRASTED = 0.35
"""RMS contrast that counts as full; black and white in equal parts have 0.5."""
TEXT_TOP = 39 / 64
"""The text is below this fraction of a poster's height; above it OCR reads circles as O and squares as 国."""


class PostersAlignment:
    """Fraction of the attributes stated in the prompt that the image gets right, in [0, 1]; 1 if it states none.

    Counts shape, colour, position, size and background, each graded by how clearly it is right.
    """

    name = "posters-alignment"
    axis = "alignment"
    differentiable = False

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        measured = measure(images)
        scores = [self._share({name: rows[i] for name, rows in measured.items()}, p) for i, p in enumerate(prompts)]
        return torch.tensor(scores, dtype=torch.float32, device=images.device)

    def _share(self, measured: dict[str, Tensor], prompt: str) -> float:
        stated = parse(prompt).stated()
        right = [measured[name][CHOICES[name].index(stated[name])].item() for name in MEASURED if name in stated]
        return sum(right) / len(right) if right else 1.0


class PostersAesthetic:
    """Colourfulness and contrast of an image, in [0, 1], independent of the prompt.

    The mean of Hasler & Süsstrunk's colourfulness (Measuring colourfulness in natural images, SPIE 5007, 2003) over
    `COLOURFUL` and of the RMS contrast (Peli, Contrast in complex images, JOSA A 7, 1990) over `CONTRASTED`, each
    at most 1.
    """

    name = "posters-aesthetic"
    axis = "aesthetic"
    differentiable = False

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        pixels = images.detach().float().clamp(0, 1)
        colourful = (colourfulness(pixels) / COLOURFUL).clamp_max(1)
        return (colourful + (rms_contrast(pixels) / CONTRASTED).clamp_max(1)) / 2


def colourfulness(images: Images) -> Scores:
    """Hasler & Süsstrunk's M3 on the scale of 0 to 255: spread plus 0.3 times the mean of two opponent colours."""
    opponents = opponent_colours(255 * images).flatten(2)
    spread = opponents.var(-1, correction=0).sum(0).sqrt()
    return spread + 0.3 * opponents.mean(-1).square().sum(0).sqrt()


def rms_contrast(images: Images) -> Scores:
    """Standard deviation of the luma (ITU-R BT.601 weights), in [0, 0.5]."""
    luma = torch.einsum("bchw,c->bhw", images, images.new_tensor([0.299, 0.587, 0.114]))
    return luma.flatten(1).std(-1, correction=0)


class PostersText(OcrReward):
    """Character accuracy of the text at the bottom of a poster, clipped to [0, 1]; 0 if none is requested or read."""

    name = "posters-text"

    def __init__(self, engine: Engine | None = None) -> None:
        super().__init__(engine)

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        height = images.shape[-2]
        foot = images[:, :, round(TEXT_TOP * height) :]
        # Padded to half the height, so that the enlarged image is a multiple of 32, as the detector needs.
        return super().score(functional.pad(foot, (0, 0, 0, height // 2 - foot.shape[-2]), mode="replicate"), prompts)


def gold_judges(engine: Engine | None = None) -> tuple[PostersAlignment, PostersAesthetic, PostersText]:
    """The three judges, one for each axis."""
    return PostersAlignment(), PostersAesthetic(), PostersText(engine)
