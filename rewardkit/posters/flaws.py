"""Flaws of generated posters, added to correct renderings: wrong attributes, wrong or broken text, degradation.

Pairs of such posters train reward models before any base model has generated one.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFilter
from torch import Generator

from rewardkit.images import OneImage, to_tensor
from rewardkit.posters.draw import GRID, background_rgb, draw
from rewardkit.posters.scene import CHOICES, WORDS, WORDS_ZH, Scene, chance, pick

WRONG = 0.3
"""Probability that an attribute is wrong, in a poster that has errors."""
TEXT_FLAWS = ("none", "misspelt", "misspelt", "broken", "broken", "another", "absent")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def flawed(scene: Scene, size: int, fonts: Sequence[Path], generator: Generator) -> OneImage:
    """Draw a scene with the flaws of a generated poster; attributes that are not stated are random."""
    whole = scene.filled(generator)
    if chance(0.75, generator):
        whole = wrong_attributes(whole, generator)
    if not chance(0.5, generator):
        whole = replace(whole, finish=pick(CHOICES["finish"], generator))
    flaw = pick(TEXT_FLAWS, generator) if whole.text else "none"
    font = pick_font(fonts, whole.text, generator)
    image = draw(replace(whole, text=wrong_text(whole.text, flaw, generator)), size, font)
    if flaw == "broken":
        erase_strokes(image, whole, generator)
    return weathered(image, generator)


def wrong_attributes(scene: Scene, generator: Generator) -> Scene:
    """Change each attribute with probability `WRONG`."""
    changed = {name: pick(choices, generator) for name, choices in CHOICES.items() if chance(WRONG, generator)}
    return replace(scene, **changed)


def wrong_text(text: str | None, flaw: str, generator: Generator) -> str | None:
    """Return the text as written under a flaw."""
    if text is None or flaw == "absent":
        return None
    if flaw == "another":
        words = WORDS if text.isascii() else WORDS_ZH
        return pick(tuple(word for word in words if word != text), generator)
    return misspelt(text, generator) if flaw == "misspelt" else text


def misspelt(text: str, generator: Generator) -> str:
    """Make one or two errors: a character missing, doubled, swapped with the next, or replaced."""
    for _ in range(1 + int(chance(0.4, generator))):
        at = int(torch.randint(max(len(text), 1), (), generator=generator))
        other = pick(tuple("0123456789" if text.isdigit() else LETTERS if text.isascii() else WORDS_ZH), generator)[0]
        slips = (text[:at] + text[at + 1 :], text[: at + 1] + text[at:], text[:at] + other + text[at + 1 :])
        swapped = text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :]
        text = pick((*slips, swapped), generator) or other
    return text


def erase_strokes(image: Image.Image, scene: Scene, generator: Generator) -> None:
    """Erase one to four strokes of the text with the background's colour, giving letters that no font has."""
    unit = image.width / GRID
    pencil = ImageDraw.Draw(image)
    for _ in range(int(torch.randint(1, 5, (), generator=generator))):
        x, y, dx, dy = torch.rand(4, generator=generator).tolist()
        start = (unit * (8 + 48 * x), unit * (46 + 14 * y))
        end = (start[0] + unit * 18 * (dx - 0.5), start[1] + unit * 14 * (dy - 0.5))
        ground = background_rgb(str(scene.background), str(scene.finish))
        pencil.line([start, end], fill=ground, width=round((1 + 2 * x) * unit))


def weathered(image: Image.Image, generator: Generator) -> OneImage:
    """Slightly blur and noise a poster, two thirds of the time; pixels are rounded as in a file."""
    blur, noise = torch.rand(2, generator=generator).tolist()
    if chance(1 / 3, generator):
        return to_tensor(image)
    pixels = to_tensor(image.filter(ImageFilter.GaussianBlur(1.2 * blur * image.width / GRID)))
    grain = torch.randn(pixels.shape, generator=generator)
    noisy: OneImage = (pixels + 0.06 * noise * grain).clamp(0, 1).mul(255).round() / 255
    return noisy


def pick_font(fonts: Sequence[Path], text: str | None, generator: Generator) -> Path | None:
    """Choose one of the user's fonts for Latin text; `None` is the built-in font, which Chinese text always uses."""
    if not fonts or text is None or not text.isascii():
        return None
    return pick(fonts, generator)
