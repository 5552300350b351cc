"""`rewardkit posters`: true posters with captions, prompt files, or preference pairs with a known ceiling."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from rewardkit.errors import UserError
from rewardkit.posters.fonts import cjk_font, font_files, load_font
from rewardkit.posters.requests import NO_CJK, Style, check_languages


@dataclass(frozen=True)
class PostersConfig:
    """Make data of the posters world."""

    out: Path
    """Folder to write."""
    kind: Literal["images", "prompts", "pairs"] = "images"
    """images: true renderings and metadata.jsonl; prompts: train.jsonl and held_out.jsonl; pairs: pairs.jsonl."""
    count: int = 1000
    """How many."""
    languages: tuple[str, ...] = ("en",)
    """Languages of the prompts: en, zh, ko."""
    style: Style = "long"
    """Prompts that say everything (long), a few words as users write (short), or both (mixed)."""
    text_share: float = 0.75
    """Share of the prompts that ask for text."""
    size: int = 64
    """Side of an image in pixels."""
    fonts: Path | None = None
    """Folder of fonts for the Latin text of renderings; the built-in bold face when not given."""
    held_out: float = 0.2
    """prompts: share that goes to held_out.jsonl; no scene and no prompt is in both."""
    base: str | None = None
    """pairs: a base model (seedling, a diffusers folder, a hub id) that draws some of them."""
    base_share: float = 0.5
    """pairs: share that the base draws, two samples a prompt."""
    steps: int = 16
    """pairs: sampling steps of the base."""
    guidance: float = 1.0
    """pairs: guidance of the base; 1 is none."""
    exclude: tuple[Path, ...] = ()
    """pairs: files of pairs whose prompts must not come again, for a held-out set that shares none with training."""
    batch_size: int = 32
    """Images drawn or judged at once."""
    device: str = "cpu"
    """Where the base runs."""
    seed: int = 0
    """Same seed, same data."""


def make(config: PostersConfig) -> None:
    """Write the data of `config`, and print what was written and left out."""
    from rewardkit.posters import making

    check(config)
    if "zh" in config.languages and cjk_font() is None:
        print(NO_CJK)
    generator = torch.Generator().manual_seed(config.seed)
    fonts = find_fonts(config.fonts)
    if config.kind == "images":
        making.images(config, fonts, generator)
    elif config.kind == "prompts":
        making.prompts(config, generator)
    else:
        making.pairs(config, fonts, generator)


def check(config: PostersConfig) -> None:
    """Raise `UserError` for options that make no sense."""
    check_languages(config.languages)
    for name in ("text_share", "held_out", "base_share"):
        if not 0 <= getattr(config, name) <= 1:
            raise UserError(f"{name} is a share between 0 and 1; got {getattr(config, name)}")
    for name, least in (("count", 1), ("size", 32), ("batch_size", 1), ("steps", 1)):
        if getattr(config, name) < least:
            raise UserError(f"{name} must be {least} or more; got {getattr(config, name)}")


def find_fonts(folder: Path | None) -> tuple[Path, ...]:
    """List the fonts of a user's folder that open and have Latin letters; raise `UserError` where there is none."""
    if folder is None:
        return ()
    files = list(font_files(folder))
    good = tuple(path for path in files if has_latin(path))
    bad = [path.name for path in files if path not in good]
    if bad:
        print(f"left out {len(bad)} fonts that do not open or lack Latin letters: {', '.join(bad[:5])}")
    if not good:
        raise UserError(f"no font with Latin letters in {folder}; it needs .ttf, .otf or .ttc files")
    return good


def has_latin(path: Path) -> bool:
    """Say whether a font opens and has Latin letters; one that lacks them draws the same box for each."""
    try:
        first, second = (bytes(load_font(path, 16).getmask(letter)) for letter in "AS")
    except OSError:
        return False
    return first != second
