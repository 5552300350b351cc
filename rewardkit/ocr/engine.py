"""RapidOCR as a reader of images in [0, 1]: its lines of text, in the order that people read them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from rewardkit.types import Images

SMALL = 160
"""Images with a shorter side below this are enlarged until the longer one has `ENLARGED` pixels: the detector misses
letters of a few pixels."""
ENLARGED = 192
SURE = 0.5
"""Lines that are read with less confidence than this are left out."""


class Engine:
    """Reads the text of images; the models load at the first image and are kept."""

    def __init__(self, threads: int | None = None, *, confidence: float = SURE) -> None:
        """`threads` per model: as many as torch uses by default."""
        self.threads = threads or torch.get_num_threads()
        self.confidence = confidence

    def read(self, image: Float[Tensor, "3 height width"]) -> str:
        """Read one image in [0, 1]: its lines from top to bottom, joined by spaces; empty when there is no text."""
        pixels, engine, _ = self._prepared(image)
        found = engine(pixels, use_det=True, use_rec=True)
        if found.txts is None or found.boxes is None:
            return ""
        order = reading_order(np.asarray(found.boxes, dtype=np.float32))
        return " ".join(found.txts[index].strip() for index in order).strip()

    def _prepared(self, image: Tensor) -> tuple[UInt8[np.ndarray, "_ _ 3"], Any, float]:
        """The pixels as the engine takes them, the engine for their size, and how much they were enlarged."""
        pixels = _bgr(image)
        if min(pixels.shape[:2]) >= SMALL:
            return pixels, self._standard, 1.0
        scale = max(ENLARGED / max(pixels.shape[:2]), 1.0)
        return cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), self._small, scale

    def boxes(self, image: Float[Tensor, "3 height width"], most: int = 1000) -> Float[np.ndarray, "boxes 4 2"]:
        """Find the lines of text, without reading them: their corners in pixels, in reading order.

        Of more than `most` lines, the largest.
        """
        pixels, engine, scale = self._prepared(image)
        found = engine(pixels, use_det=True, use_rec=False).boxes
        if found is None or not len(found):
            return np.zeros((0, 4, 2), dtype=np.float32)
        boxes = np.asarray(found, dtype=np.float32) / np.float32(scale)
        areas = np.array([cv2.contourArea(box) for box in boxes])
        boxes = boxes[np.argsort(-areas, kind="stable")[:most]]
        return boxes[reading_order(boxes)]

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
