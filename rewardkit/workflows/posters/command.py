"""`rewardkit posters`: rendered posters with captions, prompt files, or preference pairs with a known ceiling."""

import string
from pathlib import Path

import torch

from rewardkit.errors import UserError
from rewardkit.posters.fonts import cjk_font, draws, font_files
from rewardkit.posters.requests import NO_CJK, check_languages
from rewardkit.workflows.posters import making
from rewardkit.workflows.posters.config import PostersConfig


def make(config: PostersConfig) -> None:
    """Make data from the posters world."""
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
    """Raise `UserError` for invalid options."""
    check_languages(config.languages)
    for name in ("text_share", "held_out", "base_share"):
        if not 0 <= getattr(config, name) <= 1:
            raise UserError(f"{name} must be between 0 and 1; got {getattr(config, name)}")
    for name, least in (("count", 1), ("size", 32), ("batch_size", 1), ("steps", 1)):
        if getattr(config, name) < least:
            raise UserError(f"{name} must be {least} or more; got {getattr(config, name)}")


def find_fonts(folder: Path | None) -> tuple[Path, ...]:
    """List the readable fonts of a user's folder with Latin letters; raise `UserError` if there is none."""
    if folder is None:
        return ()
    files = list(font_files(folder))
    good = tuple(path for path in files if has_latin(path))
    bad = [path.name for path in files if path not in good]
    if bad:
        print(f"left out {len(bad)} fonts that are unreadable or lack Latin letters: {', '.join(bad[:5])}")
    if not good:
        raise UserError(f"no font with Latin letters in {folder}; it needs .ttf, .otf or .ttc files")
    return good


def has_latin(path: Path) -> bool:
    """Say whether a font opens and draws the letters and digits that posters are written in."""
    try:
        return draws(path, string.ascii_uppercase + string.digits)
    except OSError:
        return False
