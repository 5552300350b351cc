"""Runs that are compared use the same frozen reward scale."""

import shutil
from pathlib import Path

from refl.config import ReflConfig
from refl.session import Session, begin


def begin_on(scale: Path, config: ReflConfig) -> Session:
    """Begin a new run with the reward scale in a file; the first run writes it."""
    shutil.rmtree(config.out, ignore_errors=True)
    if scale.is_file():
        config.out.mkdir(parents=True)
        shutil.copy(scale, config.out / "panel.json")
    session = begin(config)
    if not scale.is_file():
        shutil.copy(config.out / "panel.json", scale)
    return session
