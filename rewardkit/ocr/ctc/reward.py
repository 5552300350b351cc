"""The reward: find the lines of text (no gradient), cut them out, and score the wanted text in the best of them."""

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
from rewardkit.prompts import wanted_text
from rewardkit.types import Images, Scores

MOST = 12
"""Lines of an image that are looked at, the largest first."""
BANDS = 4
"""Where no text is found, it is looked for in bands of this share of the height, half over each other."""
VIEWS = 2
"""Shaken copies of each line that a gradient is averaged over."""
ENOUGH = -0.1
"""Log-likelihood a character above which the reward stops to grow: every character at a probability of 0.9."""


class OcrCtcReward:
    """CTC log-likelihood, for each character, of the text a prompt quotes; differentiable, at most `target`.

    0 for a prompt that quotes none (nothing is missing). Where a gradient is asked for, each line is seen in `views`
    shaken copies: plain CTC is raised by patterns that no one else reads as the text. The draws come from the picture
    itself, so the same picture scores the same and a resumed run stays on its course. Raises `UserError` for text that
    the recogniser cannot read.
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
        """`strength` 0 takes no shaken copies; a `target` of 0 never stops to pull."""
        self.device, self.dtype = torch.device(device), dtype
        self.strength, self.views, self.target = strength, views if strength else 1, target
        self.detector = Engine()

    @cached_property
    def recogniser(self) -> Recogniser:
        return Recogniser().to(self.device, self.dtype)

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
        """Log-likelihood a character, without the bound; the mean over shaken copies where `strength` is above 0."""
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
        """Boxes of the text in reading order; where the detector finds none, the band where the text is likeliest."""
        boxes = self.detector.boxes(image, MOST)
        if len(boxes):
            return [turned(torch.from_numpy(box).to(self.device, self.dtype)) for box in boxes]
        quads = [quad.to(self.device, self.dtype) for quad in bands(*image.shape[1:])]
        frames = self.recogniser.frames([self._cut(image, quad, target) for quad in quads])
        likelihoods = torch.stack([target.log_likelihood(one) for one in frames])
        return [quads[int(likelihoods.argmax())]]

    def _cut(self, image: OneImage, quad: Quad, target: Target) -> Float[Tensor, "3 48 _"]:
        # Stretched to what the text needs where a box is too narrow: a likelihood of 0 would have no gradient.
        return crop(image, quad, line_width(quad, target.least_frames))


@lru_cache(maxsize=1024)
def target_of(text: str) -> Target:
    """The groups of a wanted text, kept for the next step; raise `UserError` for text that cannot be read."""
    check_measurable(text, korean=False)
    return Target(text)


def best_run(lines: Sequence[Frames], target: Target) -> Float[Tensor, ""]:
    """Log-likelihood a character of the text in the lines that hold it best, joined in reading order.

    Any lines that follow each other may hold it, so that other text in the picture costs nothing.
    """
    runs = [(start, end) for start in range(len(lines)) for end in range(start + 1, len(lines) + 1)]
    with torch.no_grad():
        found = [target.log_likelihood(torch.cat(list(lines[start:end]))) for start, end in runs]
    start, end = runs[int(torch.stack(found).argmax())]
    return target.log_likelihood(torch.cat(list(lines[start:end])))


def bands(height: int, width: int) -> list[Quad]:
    """Cover an image with bands a quarter as high, half over each other, and the whole of it."""
    tall = height / BANDS
    tops = [step * tall / 2 for step in range(2 * BANDS - 1)]
    edges = [(top, top + tall) for top in tops] + [(0.0, float(height))]
    return [torch.tensor([[0.0, top], [width, top], [width, end], [0.0, end]]) for top, end in edges]
