"""How far `ocr-ctc` can be gamed: gradient ascent on the pixels of posters that show another word than the wanted one.

`python benchmarks/ctc_gaming.py` makes the table and the figure of docs/text.md. Ascent maximises the reward; RapidOCR
(whose recogniser is the reward) and tesseract (which the ascent does not use) then read the posters. Letters that only
RapidOCR reads were gamed. Needs the tesseract program.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import Generator, Tensor

from rewardkit.data.degradation import blur
from rewardkit.images import OneImage, to_tensor
from rewardkit.ocr import Engine, accuracy, normalise
from rewardkit.ocr.ctc import OcrCtcReward, Recogniser
from rewardkit.ocr.tesseract import Tesseract
from rewardkit.posters.draw import draw
from rewardkit.posters.scene import WORDS, Scene, pick
from rewardkit.stats import Estimate, mean_interval

ARMS = ("before", "plain CTC", "augmented copies + target", "the right poster")
RATE = 0.02
SOFT = 1.0
"""Blur before tesseract reads, in pixels."""
FOOT = 42 / 64
"""The text is below this fraction of the height."""


@dataclass(frozen=True)
class Poster:
    """One poster before and after each ascent, and the right poster, with what two engines read at the bottom."""

    written: str
    wanted: str
    images: Sequence[OneImage]
    trained: Sequence[str]
    second: Sequence[str]


class Readers:
    """The engine whose recogniser is the reward, and one that the ascent does not use."""

    def __init__(self) -> None:
        self.trained, self.second = Engine(threads=1), Tesseract("eng", layout=7)

    def read(self, image: OneImage) -> tuple[str, str]:
        # Adam changes every pixel, and tesseract fails on the speckle; hence the blur.
        foot = blur(image, SOFT)[:, round(FOOT * image.shape[1]) :]
        return normalise(self.trained.read(image)), normalise(self.second.read(foot))


def ascend(reward: OcrCtcReward, image: OneImage, wanted: str, steps: int) -> OneImage:
    """Maximise the reward by Adam on the pixels."""
    pixels: Tensor = image[None].clone().requires_grad_()
    optimiser = torch.optim.Adam([pixels], lr=RATE)
    for _ in range(steps):
        optimiser.zero_grad()
        (-reward.score(pixels, [f'a poster with "{wanted}"'])).sum().backward()
        optimiser.step()
        with torch.no_grad():
            pixels.clamp_(0, 1)
    return pixels.detach()[0]


def random_poster(size: int, generator: Generator) -> tuple[Scene, str]:
    """A poster that shows a word of four letters, and another such word that is wanted."""
    written = pick(tuple(word for word in WORDS if len(word) == 4), generator)
    wanted = pick(tuple(word for word in WORDS if len(word) == 4 and word != written), generator)
    ground = pick(("white", "mint", "navy"), generator)
    return Scene("star", "red", "centre", "small", ground, "vivid", written), wanted


def measure(posters: int, size: int, steps: tuple[int, int], minutes: float) -> tuple[list[Poster], int]:
    """Attack `posters` posters or until the time is up; also count posters that tesseract misread before the attack."""
    generator = Generator().manual_seed(0)
    plain, guarded = OcrCtcReward(strength=0.0, target=0.0), OcrCtcReward()
    plain.recogniser = guarded.recogniser = Recogniser()
    readers, unread = Readers(), 0
    found: list[Poster] = []
    began = time.monotonic()
    while len(found) < posters and time.monotonic() - began < 60 * minutes:
        scene, wanted = random_poster(size, generator)
        before = to_tensor(draw(scene, size))
        right = to_tensor(draw(Scene(**(scene.stated() | {"text": wanted})), size))
        controls = [readers.read(before), readers.read(right)]
        if controls[0][1] != normalise(str(scene.text)) or controls[1][1] != normalise(wanted):
            unread += 1
            continue
        images = (
            before,
            ascend(plain, before, wanted, steps[0]),
            ascend(guarded, before, wanted, steps[1]),
            right,
        )
        trained, second = zip(controls[0], *map(readers.read, images[1:3]), controls[1], strict=True)
        found.append(Poster(str(scene.text), wanted, images, trained, second))
        print(f"{scene.text} -> {wanted}: RapidOCR {trained[1:3]}, tesseract {second[1:3]}", flush=True)
    return found, unread


def table(found: Sequence[Poster]) -> str:
    """Fraction of the wanted letters that each engine reads, and the difference between them."""
    lines = [
        "| poster | RapidOCR (in the reward) | tesseract (second engine) | gamed: difference |",
        "|---|---|---|---|",
    ]
    for arm, name in enumerate(ARMS):
        trained, second = ([clipped(read[arm], p.wanted) for p, read in side] for side in both(found))
        gap = [a - b for a, b in zip(trained, second, strict=True)]
        lines.append(f"| {name} | " + " | ".join(shown(mean_interval(v)) for v in (trained, second, gap)) + " |")
    return "\n".join(lines)


def both(found: Sequence[Poster]) -> tuple[list[tuple[Poster, Sequence[str]]], list[tuple[Poster, Sequence[str]]]]:
    return [(p, p.trained) for p in found], [(p, p.second) for p in found]


def clipped(read: str, wanted: str) -> float:
    return min(max(accuracy(read, wanted), 0.0), 1.0)


def shown(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def figure(found: Sequence[Poster], path: Path) -> None:
    """Show some posters under every arm, with what both engines read."""
    rows = found[:4]
    drawn, axes = plt.subplots(len(rows), 3, figsize=(6.6, 1.55 * len(rows)), squeeze=False)
    for row, poster in zip(axes, rows, strict=True):
        for arm, axis in enumerate(row):
            image = poster.images[arm]
            axis.imshow(image[:, round(FOOT * image.shape[1]) :].permute(1, 2, 0).numpy())
            axis.set_title(f"{ARMS[arm]}, wanted {poster.wanted}" if arm else f"shows {poster.written}", fontsize=7)
            axis.set_xlabel(
                f"RapidOCR {poster.trained[arm].upper()}, tesseract {poster.second[arm].upper()}", fontsize=7
            )
            axis.set_xticks([])
            axis.set_yticks([])
    drawn.tight_layout()
    drawn.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=16, help="posters")
    parser.add_argument("--size", type=int, default=96, help="side of a poster in pixels")
    parser.add_argument("--plain-steps", type=int, default=25, help="of ascent on plain CTC")
    parser.add_argument("--steps", type=int, default=40, help="of ascent with augmented copies and target")
    parser.add_argument("--minutes", type=float, default=30, help="start no poster after this time")
    parser.add_argument("--figure", type=Path, default=Path("docs/ctc_gaming.png"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    found, unread = measure(args.count, args.size, (args.plain_steps, args.steps), args.minutes)
    print(f"\nn = {len(found)} posters of {args.size} pixels; {unread} left out that tesseract misread at first\n")
    print(table(found))
    if found:
        figure(found, args.figure)


if __name__ == "__main__":
    main()
