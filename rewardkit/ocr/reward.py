"""The `ocr` reward: character accuracy of the recognised text."""

from collections.abc import Sequence
from functools import cached_property

import torch

from rewardkit.ocr.engine import Engine
from rewardkit.ocr.measurable import KOREAN, check_measurable, measurable, needs_tesseract
from rewardkit.ocr.several import accuracy_of
from rewardkit.ocr.tesseract import Tesseract, languages
from rewardkit.prompts import quoted, wanted_text
from rewardkit.types import Images, Scores


class OcrReward:
    """Character accuracy of the texts read in an image, clipped to [0, 1]; 0 for a prompt that quotes none.

    Several quoted texts are looked for each by itself, in any order (see `several`). Korean is read by tesseract, where
    it and its `kor` are installed. Raises `UserError` for wanted text that no engine can read (Korean without it,
    Cyrillic, ...): not measurable is no score.
    """

    name = "ocr"
    axis = "text"
    differentiable = False

    def __init__(self, engine: Engine | None = None) -> None:
        self.engine = engine or Engine()

    def can_score(self, prompts: Sequence[str]) -> list[bool]:
        """Which prompts quote no text, or only text that can be measured."""
        return [measurable(wanted_text(prompt)) for prompt in prompts]

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        texts = [quoted(prompt) for prompt in prompts]
        asked = [index for index, wanted in enumerate(texts) if wanted]
        for index in asked:
            check_measurable(" ".join(texts[index]))
        korean = [index for index in asked if needs_tesseract(" ".join(texts[index]))]
        others = [index for index in asked if index not in korean]
        read = dict(zip(others, self.engine.lines_all(images[others]), strict=True))
        read |= {index: self._korean.lines(images[index]) for index in korean}
        scores = torch.zeros(len(images), dtype=torch.float32)
        for index in asked:
            scores[index] = min(max(accuracy_of(read[index], texts[index]), 0.0), 1.0)
        return scores.to(images.device)

    @cached_property
    def _korean(self) -> Tesseract:
        return Tesseract(KOREAN, *({"eng"} & languages()))
