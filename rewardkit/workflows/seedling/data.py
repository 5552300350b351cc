"""Training data of seedling: posters of random scenes with captions as noisy as captions on the web."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Generator, Tensor

from rewardkit.posters.captions import long_caption, short_caption, shorten
from rewardkit.posters.draw import draw
from rewardkit.posters.scene import CHOICES, Scene, chance, pick, random_scene, random_text
from rewardkit.types import Images

LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
DIGITS = tuple("0123456789")
LANGUAGE_SHARES = {"en": 0.8, "zh": 0.1, "ko": 0.1}


@dataclass(frozen=True)
class Noise:
    """How often a training caption deviates from a correct long caption."""

    short: float = 0.15
    """Fraction of short captions."""
    letters: float = 0.1
    """Fraction of texts that are random letters, so that letters are learned and not only words."""
    wrong_text: float = 0.15
    """Fraction of captions that quote another text than the image shows, as alt texts do."""
    typos: float = 0.2
    """Fraction of quoted letters that are wrong, as in careless transcripts, which makes the base misspell."""


def training_scene(generator: Generator, noise: Noise, text_share: float = 0.85) -> Scene:
    """Sample a scene; its text is a word, a number or random letters."""
    scene = random_scene(generator, text_share=text_share)
    if scene.text and chance(noise.letters, generator):
        length = int(torch.randint(2, 6, (), generator=generator))
        scene = replace(scene, text="".join(pick(LETTERS, generator) for _ in range(length)))
    return scene


def changed(scene: Scene, generator: Generator) -> Scene:
    """Change one attribute of a scene, or one letter of its text, to another value."""
    names = [*CHOICES, "text"] if scene.text else list(CHOICES)
    name = pick(tuple(names), generator)
    if name == "text":
        place = int(torch.randint(len(str(scene.text)), (), generator=generator))
        letter = misspell(str(scene.text)[place], generator, 1.0)
        return replace(scene, text=str(scene.text)[:place] + letter + str(scene.text)[place + 1 :])
    others = tuple(choice for choice in CHOICES[name] if choice != getattr(scene, name))
    return replace(scene, **{name: pick(others, generator)})


def training_caption(scene: Scene, generator: Generator, noise: Noise) -> str:
    """Caption a scene in a random language and length, sometimes with a wrong text."""
    if scene.text and chance(noise.wrong_text, generator):
        scene = replace(scene, text=random_text(generator))
    if scene.text:
        scene = replace(scene, text=misspell(scene.text, generator, noise.typos))
    languages = list(LANGUAGE_SHARES)
    shares = torch.tensor(list(LANGUAGE_SHARES.values()))
    language = languages[int(torch.multinomial(shares, 1, generator=generator))]
    if chance(noise.short, generator):
        return short_caption(shorten(scene, generator), language)
    return long_caption(scene, language, generator)


def misspell(text: str, generator: Generator, typos: float) -> str:
    """Replace each letter by a random one with this probability, and each digit by a digit."""
    others = [pick(DIGITS if letter.isdigit() else LETTERS, generator) for letter in text]
    return "".join(o if chance(typos, generator) else letter for letter, o in zip(text, others, strict=True))


@dataclass(frozen=True)
class PosterSet:
    """Rendered posters in memory with their scenes."""

    scenes: tuple[Scene, ...]
    pixels: Tensor
    """uint8, (N, 3, H, W)"""

    @staticmethod
    def render(count: int, seed: int, size: int = 64, family: int = 1) -> "PosterSet":
        """Render `count` posters in families of `family`, whose members differ from the first in one attribute."""
        generator = torch.Generator().manual_seed(seed)
        scenes: list[Scene] = []
        while len(scenes) < count:
            first = training_scene(generator, Noise())
            scenes += [first, *(changed(first, generator) for _ in range(family - 1))]
        pixels = np.stack([np.asarray(draw(scene, size)) for scene in scenes])
        return PosterSet(tuple(scenes), torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous())

    def images(self, index: Tensor) -> Images:
        """Select images as floats in [0, 1]."""
        return self.pixels[index].float() / 255


def disturb(images: Images, generator: Generator) -> Images:
    """Shift by up to two pixels, blur half of the images, add noise of up to 0.1, to resemble generated posters."""
    shift = torch.randint(-2, 3, (2,), generator=generator).tolist()
    moved = torch.roll(images, shift, dims=(2, 3))
    soft = torch.nn.functional.avg_pool2d(moved, 3, stride=1, padding=1, count_include_pad=False)
    share = torch.rand(len(images), 1, 1, 1, generator=generator).sub(0.5).clamp_min(0).mul(1.6).to(images)
    strength = torch.rand(len(images), 1, 1, 1, generator=generator) * 0.1
    noise = (torch.randn(images.shape, generator=generator) * strength).to(images)
    return (moved.lerp(soft, share) + noise).clamp(0, 1)
