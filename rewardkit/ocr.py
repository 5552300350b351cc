"""Read the text in images with RapidOCR, and score it against the text a prompt quotes.

RapidOCR's PP-OCR models come inside its wheel, so nothing is downloaded. They read Latin, Chinese and Japanese;
Korean, Cyrillic, Greek and others they silently misread, so a prompt that quotes those is refused, not scored wrong.

`R_a = 1 - N_e / N` (arXiv:2503.07703, 5.1.2) leaves open what counts as a character. Here, before comparing: Unicode
NFKC (full-width letters become plain), case folded, and only letters and digits kept, so spaces, line breaks and
punctuation never matter. A text of nothing but symbols is compared with its symbols.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from rewardkit.errors import UserError
from rewardkit.prompts import wanted_text
from rewardkit.types import Images, Scores

SMALL = 160
"""Images with a shorter side below this are enlarged until the longer one has `ENLARGED` pixels: the detector misses
letters of a few pixels."""
ENLARGED = 192
SURE = 0.5
"""Lines that are read with less confidence than this are left out."""
SCRIPTS = frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA", "FULLWIDTH", "HALFWIDTH", "KATAKANA-HIRAGANA"})
"""First words of the Unicode names of the letters that the bundled models know."""


class Engine:
    """Reads the text of images; the models load at the first image and are kept."""

    def __init__(self, threads: int | None = None, *, confidence: float = SURE) -> None:
        """`threads` per model: as many as torch uses by default."""
        self.threads = threads or torch.get_num_threads()
        self.confidence = confidence

    def read(self, image: Float[Tensor, "3 height width"]) -> str:
        """Read one image in [0, 1]: its lines from top to bottom, joined by spaces; empty when there is no text."""
        pixels = _bgr(image)
        engine = self._standard
        if min(pixels.shape[:2]) < SMALL:
            engine = self._small
            scale = max(ENLARGED / max(pixels.shape[:2]), 1.0)
            pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        found = engine(pixels)
        if found.txts is None or found.boxes is None:
            return ""
        order = reading_order(np.asarray(found.boxes, dtype=np.float32))
        return " ".join(found.txts[index].strip() for index in order).strip()

    def read_all(self, images: Images | Sequence[Tensor]) -> list[str]:
        """Read every image of a batch, or of a list of images of several sizes.

        Two images on a core each are read faster than one on two cores, so every thread gets an engine of its own.
        """
        if self.threads < 2 or len(images) < 2 * self.threads:
            return [self.read(image) for image in images]
        parts = [list(images[start :: self.threads]) for start in range(self.threads)]
        with ThreadPoolExecutor(self.threads) as pool:
            read = list(pool.map(Engine.read_all, self._readers, parts))
        return [read[index % self.threads][index // self.threads] for index in range(len(images))]

    @cached_property
    def _readers(self) -> list["Engine"]:
        return [Engine(1, confidence=self.confidence) for _ in range(self.threads)]

    @cached_property
    def _standard(self) -> Any:
        return self._load({})

    @cached_property
    def _small(self) -> Any:
        # By default detection works at 736 pixels and recognition at a width of 320: ten times the time of a poster.
        return self._load({"Det.limit_side_len": 32, "Rec.rec_img_shape": [3, 48, 48]})

    def _load(self, options: dict[str, Any]) -> Any:
        from rapidocr import RapidOCR  # a second of imports, which a caller without text does not pay

        threads = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": self.threads for kind in ("intra", "inter")}
        quiet = {"Global.log_level": "critical", "Global.use_cls": False, "Global.text_score": self.confidence}
        return RapidOCR(params={**quiet, **threads, **options})


def _bgr(image: Tensor) -> UInt8[np.ndarray, "height width 3"]:
    pixels = image.detach().clamp(0, 1).mul(255).round().to("cpu", torch.uint8)
    return np.ascontiguousarray(pixels.permute(1, 2, 0).flip(2).numpy())


def reading_order(boxes: Float[np.ndarray, "boxes 4 2"]) -> list[int]:
    """Order text boxes (corners in pixels) in lines from top to bottom, each from left to right.

    Boxes share a line when the centre of one lies within half a height of the centre of the line's first.
    """
    centre, height = boxes[:, :, 1].mean(1), np.ptp(boxes[:, :, 1], axis=1)
    lines: list[list[int]] = []
    for index in np.argsort(centre, kind="stable").tolist():
        first = lines[-1][0] if lines else index
        if lines and centre[index] - centre[first] < min(height[index], height[first]) / 2:
            lines[-1].append(index)
        else:
            lines.append([index])
    left = boxes[:, :, 0].min(1)
    return [index for line in lines for index in sorted(line, key=lambda box: float(left[box]))]


def normalise(text: str) -> str:
    """Reduce a text to what is compared: NFKC, case folded, letters, marks and digits only (see the module)."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(character for character in folded if unicodedata.category(character)[0] in "LMN")
    return kept or "".join(folded.split())


def accuracy(read: str, wanted: str) -> float:
    """Character accuracy `R_a = 1 - N_e / N`, with `N_e` edits from the text read to the `N` characters wanted.

    1 is exact; below 0 when more is wrong than was asked for. Raises `ValueError` when nothing is wanted.
    """
    target = _target(wanted)
    return 1 - edit_distance(_comparable(read, target), target) / len(target)


def hit_rate(read: str, wanted: str) -> float:
    """Share of the wanted characters that were read, in any order and each counted once (a multiset), in [0, 1]."""
    target = _target(wanted)
    return (Counter(_comparable(read, target)) & Counter(target)).total() / len(target)


def _target(wanted: str) -> str:
    target = normalise(wanted)
    if not target:
        raise ValueError("the wanted text is empty, so nothing can be measured")
    return target


def _comparable(read: str, target: str) -> str:
    """Normalise a reading; shapes read as symbols (a circle as ●) are only kept where symbols are wanted."""
    symbols = not any(character.isalnum() for character in target)
    reading = normalise(read)
    return reading if symbols or any(character.isalnum() for character in reading) else ""


def edit_distance(first: str, second: str) -> int:
    """Levenshtein distance: the fewest insertions, deletions and substitutions that turn one text into the other."""
    row: NDArray[np.int64] = np.arange(len(second) + 1)
    codes = np.array([ord(character) for character in second], dtype=np.int64)
    steps = np.arange(len(second) + 1)
    for character in first:
        changed = row + 1
        changed[1:] = np.minimum(changed[1:], row[:-1] + (codes != ord(character)))
        # Insertions run along the row; taking the running minimum of (value - position) does all of them at once.
        row = np.minimum.accumulate(changed - steps) + steps
    return int(row[-1])


def unreadable(text: str) -> list[str]:
    """Name the scripts in a text that the bundled models do not know, such as HANGUL; empty when it can be measured."""
    names = (unicodedata.name(character, "?") for character in text if character.isalpha())
    return sorted({name.split()[0] for name in names} - SCRIPTS)


def check_measurable(wanted: str) -> None:
    """Raise `UserError` for text that cannot be measured, because the models would misread it without a word."""
    scripts = unreadable(wanted)
    if scripts:
        raise UserError(
            f"{wanted!r} is not measurable: the OCR models that come along do not know {scripts[0].title()} letters; "
            "leave such prompts out of the text axis, or quote Latin, Chinese or Japanese text"
        )


class OcrReward:
    """Character accuracy of the text read in an image, clipped to [0, 1]; 0 for a prompt that quotes none.

    Raises `UserError` for wanted text in a script that the models do not know (Korean, Cyrillic, ...).
    """

    name = "ocr"
    axis = "text"
    differentiable = False

    def __init__(self, engine: Engine | None = None) -> None:
        self.engine = engine or Engine()

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        texts = [wanted_text(prompt) for prompt in prompts]
        asked = [index for index, wanted in enumerate(texts) if wanted]
        for index in asked:
            check_measurable(texts[index])
        scores = torch.zeros(len(images), dtype=torch.float32)
        for index, read in zip(asked, self.engine.read_all(images[asked]), strict=True):
            scores[index] = min(max(accuracy(read, texts[index]), 0.0), 1.0)
        return scores.to(images.device)
