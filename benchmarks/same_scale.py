"""Runs that are compared start from one frozen scale of the rewards."""

import shutil
from pathlib import Path

from refl.config import ReflConfig
from refl.session import Session, begin


def begin_on(scale: Path, config: ReflConfig) -> Session:
    """Begin afresh on the rewards' scale in a file; the first run to ask freezes it there."""
    shutil.rmtree(config.out, ignore_errors=True)
    if scale.is_file():
        config.out.mkdir(parents=True)
        shutil.copy(scale, config.out / "panel.json")
    session = begin(config)
    if not scale.is_file():
        shutil.copy(config.out / "panel.json", scale)
    return session
