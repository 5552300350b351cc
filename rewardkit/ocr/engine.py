"""Read images in [0, 1] with RapidOCR: lines of text in reading order."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from rewardkit.ocr.several import Lines, joined
from rewardkit.types import Images

SMALL = 160
"""Images with a shorter side below this are enlarged until the longer one has `ENLARGED` pixels: the detector misses
letters of a few pixels."""
ENLARGED = 192
LONGEST, THINNEST = 2000, 30
"""RapidOCR shrinks images whose longer side has more pixels than this, and enlarges those with a shorter side below."""
PART = 12
"""Images too long for that are read in parts about so many times as long as they are wide."""
LEAST_SIDE, MOST_PARTS = 8, 250
"""A long image with a shorter side below this, or of more parts than this, holds no letters that could be read."""
SURE = 0.5
"""Lines read with less confidence than this are left out."""

Pixels = UInt8[np.ndarray, "_ _ 3"]
"""BGR, as OpenCV has it."""


class Engine:
    """Reads the text of images; the models are loaded at the first image and cached."""

    def __init__(self, threads: int | None = None, *, confidence: float = SURE) -> None:
        """`threads` per model; default: as many as torch uses."""
        self.threads = threads or torch.get_num_threads()
        self.confidence = confidence

    def read(self, image: Float[Tensor, "3 height width"]) -> str:
        """Read one image in [0, 1]: its lines from top to bottom, joined by spaces; empty when there is no text."""
        return joined(self.lines(image))

    def lines(self, image: Float[Tensor, "3 height width"]) -> Lines:
        """Read one image in [0, 1]: its lines from top to bottom, each a list of pieces from left to right."""
        boxes, texts, _ = self._search(image, read=True)
        return [[texts[index].strip() for index in row] for row in rows(boxes)]

    def _search(self, image: Tensor, *, read: bool) -> tuple[Float[np.ndarray, "boxes 4 2"], list[str], float]:
        """Boxes of the text, what they say where it is to be `read`, and how much the image was enlarged for it."""
        boxes, texts, scale = [np.zeros((0, 4, 2), dtype=np.float32)], list[str](), 1.0
        for part, corner in parts(_bgr(image)):
            pixels, engine, scale = self._prepared(part)  # 1 where there are several parts
            found = engine(pixels, use_det=True, use_rec=read)
            if found.boxes is None or not len(found.boxes) or (read and found.txts is None):
                continue
            boxes.append(np.asarray(found.boxes, dtype=np.float32) + corner)
            texts += found.txts if read else ()
        return np.concatenate(boxes), texts, scale

    def _prepared(self, pixels: Pixels) -> tuple[Pixels, Any, float]:
        """The pixels as the engine takes them, the engine for their size, and how much they were enlarged."""
        if min(pixels.shape[:2]) >= SMALL:
            return pixels, self._standard, 1.0
        scale = max(ENLARGED / max(pixels.shape[:2]), 1.0)
        return cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), self._small, scale

    def boxes(self, image: Float[Tensor, "3 height width"], most: int = 1000) -> Float[np.ndarray, "boxes 4 2"]:
        """Find the lines of text, without reading them: their corners in pixels, in reading order.

        If there are more than `most` lines, the largest are kept.
        """
        boxes, _, scale = self._search(image, read=False)
        boxes /= np.float32(scale)
        areas = np.array([cv2.contourArea(box) for box in boxes])
        boxes = boxes[np.argsort(-areas, kind="stable")[:most]]
        return boxes[reading_order(boxes)]

    def read_all(self, images: Images | Sequence[Tensor]) -> list[str]:
        """Read every image of a batch, or of a list of images of several sizes."""
        return [joined(lines) for lines in self.lines_all(images)]

    def lines_all(self, images: Images | Sequence[Tensor]) -> list[Lines]:
        """Do as `lines` for every image.

        Reading two images on one core each is faster than one image on two, so every thread has its own engine.
        """
        if self.threads < 2 or len(images) < 2 * self.threads:
            return [self.lines(image) for image in images]
        shares = [list(images[start :: self.threads]) for start in range(self.threads)]
        with ThreadPoolExecutor(self.threads) as pool:
            read = list(pool.map(Engine.lines_all, self._readers, shares))
        return [read[index % self.threads][index // self.threads] for index in range(len(images))]

    @cached_property
    def _readers(self) -> list["Engine"]:
        return [Engine(1, confidence=self.confidence) for _ in range(self.threads)]

    @cached_property
    def _standard(self) -> Any:
        return self._load({})

    @cached_property
    def _small(self) -> Any:
        # The defaults (detection at 736 pixels, recognition at a width of 320) take ten times as long for a poster.
        return self._load({"Det.limit_side_len": 32, "Rec.rec_img_shape": [3, 48, 48]})

    def _load(self, options: dict[str, Any]) -> Any:
        from rapidocr import RapidOCR  # takes a second to import, so only when needed

        threads = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": self.threads for kind in ("intra", "inter")}
        quiet = {"Global.log_level": "critical", "Global.use_cls": False, "Global.text_score": self.confidence}
        return RapidOCR(params={**quiet, **threads, **options})


def _bgr(image: Tensor) -> Pixels:
    pixels = image.detach().clamp(0, 1).mul(255).round().to("cpu", torch.uint8)
    return np.ascontiguousarray(pixels.permute(1, 2, 0).flip(2).numpy())


def parts(pixels: Pixels) -> list[tuple[Pixels, Float[np.ndarray, "2"]]]:
    """Cut an image that is too long to be read whole, each part with its corner (x, y); none where nothing can be read.

    The cuts go through the plainest row or column of pixels near by, so that they meet no letter where they can.
    """
    length, side = max(pixels.shape[:2]), min(pixels.shape[:2])
    shrunk = LONGEST * side / length
    if length <= LONGEST * min(side / THINNEST, 1.0) or shrunk >= SMALL:
        return [(pixels, np.zeros(2, dtype=np.float32))]
    # No part is so short that it would be enlarged, so all boxes are in pixels of the image.
    count = length // (PART * max(side, ENLARGED // 8))
    if side < LEAST_SIDE or count > MOST_PARTS:
        return []
    upright = pixels.shape[0] > pixels.shape[1]
    step, reach = length / count, int(length / count / 8)
    # Over a third of a letter's height, so that gaps between words are plainer than those between letters.
    spread = np.convolve(np.ptp(pixels, axis=int(upright)).max(-1), np.ones(max(side // 3, 1)), "same")
    centres = [round(step * index) for index in range(1, count)]
    cuts = [centre - reach + int(spread[centre - reach : centre + reach].argmin()) for centre in centres]
    corner = np.array([0, 1] if upright else [1, 0], dtype=np.float32)
    edges = pairwise([0, *cuts, length])
    return [(pixels[a:b] if upright else np.ascontiguousarray(pixels[:, a:b]), a * corner) for a, b in edges]


def reading_order(boxes: Float[np.ndarray, "boxes 4 2"]) -> list[int]:
    """Order text boxes (corners in pixels) in lines from top to bottom, each from left to right."""
    return [index for row in rows(boxes) for index in row]


def rows(boxes: Float[np.ndarray, "boxes 4 2"]) -> list[list[int]]:
    """Group text boxes (corners in pixels) to lines from top to bottom, each from left to right.

    A box is in a line if its centre is within half a height of the centre of the line's first box.
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
    return [sorted(line, key=lambda box: float(left[box])) for line in lines]
