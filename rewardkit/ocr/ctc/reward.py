"""The `ocr-ctc` reward: find lines of text (no gradient), crop them, and score the wanted text in the best lines."""

import zlib
from collections.abc import Sequence
from functools import cached_property, lru_cache

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from rewardkit.images import OneImage
from rewardkit.ocr import Engine, check_measurable
from rewardkit.ocr.ctc.crop import Quad, crop, line_width, shake, turned, wear
from rewardkit.ocr.ctc.recogniser import Frames, Recogniser, Target
from rewardkit.ocr.measurable import measurable
from rewardkit.prompts import wanted_text
from rewardkit.types import Images, Scores

MOST = 12
"""Maximum number of lines per image, the largest first."""
BANDS = 4
"""If no text is found, bands of this fraction of the height, overlapping by half, are scored."""
VIEWS = 2
"""Augmented copies of each line over which the gradient is averaged."""
ENOUGH = -0.1
"""Log-likelihood per character above which the reward is constant: every character at a probability of 0.9."""


class OcrCtcReward:
    """CTC log-likelihood per character of the text a prompt quotes; differentiable, at most `target`.

    0 for a prompt that quotes no text. If a gradient is required, each line is scored in `views` augmented copies:
    plain CTC can be raised by patterns that no other reader recognises as the text. The augmentation is seeded by the
    image itself, so an image always has the same score and a resumed run is exact. Raises `UserError` for text that the
    recogniser cannot read.
    """

    name = "ocr-ctc"
    axis = "text"
    differentiable = True

    def __init__(
        self,
        device: torch.device | str = "cpu",
        *,
        strength: float = 1.0,
        views: int = VIEWS,
        target: float = ENOUGH,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """`strength` 0 uses no augmentation; a `target` of 0 is no bound."""
        self.device, self.dtype = torch.device(device), dtype
        self.strength, self.views, self.target = strength, views if strength else 1, target
        self.detector = Engine()

    @cached_property
    def recogniser(self) -> Recogniser:
        return Recogniser().to(self.device, self.dtype)

    def can_score(self, prompts: Sequence[str]) -> list[bool]:
        """Which prompts quote no text, or only text that can be measured."""
        return [measurable(wanted_text(prompt), korean=False) for prompt in prompts]

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        texts = [wanted_text(prompt) for prompt in prompts]
        targets = {index: target_of(text) for index, text in enumerate(texts) if text}
        shaken = torch.is_grad_enabled() and images.requires_grad and self.strength > 0
        scores = images.new_zeros(len(images), dtype=torch.float32)
        for index, target in targets.items():
            image = images[index].to(self.device, self.dtype)
            likelihood = self.likelihood(image, target, self.strength if shaken else 0.0)
            scores[index] = likelihood.clamp_max(self.target).to(scores)
        return scores

    def likelihood(self, image: OneImage, target: Target, strength: float = 0.0) -> Float[Tensor, ""]:
        """Log-likelihood per character, without the bound; the mean over augmented copies if `strength` is above 0."""
        with torch.no_grad():
            quads = self.lines(image, target)
        if strength == 0:
            return best_run(self.recogniser.frames([self._cut(image, quad, target) for quad in quads]), target)
        generator = Generator().manual_seed(zlib.crc32(image.detach().float().cpu().contiguous().numpy().tobytes()))
        views = self.views * len(quads)
        cuts = [self._cut(image, shake(quads[i % len(quads)], generator, strength), target) for i in range(views)]
        frames = self.recogniser.frames([wear(line, generator, strength) for line in cuts])
        parts = [frames[start : start + len(quads)] for start in range(0, views, len(quads))]
        return torch.stack([best_run(part, target) for part in parts]).mean()

    def lines(self, image: OneImage, target: Target) -> list[Quad]:
        """Boxes of the text in reading order; if the detector finds none, the band where the text is most likely."""
        boxes = self.detector.boxes(image, MOST)
        if len(boxes):
            return [turned(torch.from_numpy(box).to(self.device, self.dtype)) for box in boxes]
        quads = [quad.to(self.device, self.dtype) for quad in bands(*image.shape[1:])]
        frames = self.recogniser.frames([self._cut(image, quad, target) for quad in quads])
        likelihoods = torch.stack([target.log_likelihood(one) for one in frames])
        return [quads[int(likelihoods.argmax())]]

    def _cut(self, image: OneImage, quad: Quad, target: Target) -> Float[Tensor, "3 48 _"]:
        # A box that is too narrow is stretched to what the text needs: a likelihood of 0 would have no gradient.
        return crop(image, quad, line_width(quad, target.least_frames))


@lru_cache(maxsize=1024)
def target_of(text: str) -> Target:
    """The groups of a wanted text, cached; raise `UserError` for text that cannot be read."""
    check_measurable(text, korean=False)
    return Target(text)


def best_run(lines: Sequence[Frames], target: Target) -> Float[Tensor, ""]:
    """Log-likelihood per character of the text in the lines that fit it best, joined in reading order.

    Any consecutive lines may contain it, so that other text in the image costs nothing.
    """
    runs = [(start, end) for start in range(len(lines)) for end in range(start + 1, len(lines) + 1)]
    with torch.no_grad():
        found = [target.log_likelihood(torch.cat(list(lines[start:end]))) for start, end in runs]
    start, end = runs[int(torch.stack(found).argmax())]
    return target.log_likelihood(torch.cat(list(lines[start:end])))


def bands(height: int, width: int) -> list[Quad]:
    """Cover an image with bands of a quarter of its height that overlap by half, and the whole image."""
    tall = height / BANDS
    tops = [step * tall / 2 for step in range(2 * BANDS - 1)]
    edges = [(top, top + tall) for top in tops] + [(0.0, float(height))]
    return [torch.tensor([[0.0, top], [width, top], [width, end], [0.0, end]]) for top, end in edges]
