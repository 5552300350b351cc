"""Read text with the tesseract program, if installed: a second engine, and the engine for Korean.

It is called as a program, so no Python package is needed. What it can read depends on the installed language files
(`tesseract --list-langs`).
"""

import io
import os
import shutil
import subprocess
from functools import cache

from rewardkit.errors import UserError
from rewardkit.images import OneImage, to_pil
from rewardkit.ocr.several import Lines, joined

TALLEST, LARGEST = 512, 32_000
"""Small images are enlarged until their longer side has this many pixels: tesseract wants letters of 30 or so. It takes
no image with a side of more than 32,767, so larger ones are shrunk."""


@cache
def languages() -> frozenset[str]:
    """Languages that the installed tesseract reads, by its three-letter names; empty if it is not installed."""
    if shutil.which("tesseract") is None:
        return frozenset()
    listed = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True, check=False)
    return frozenset(listed.stdout.split("\n")[1:]) - {"", "osd"}


class Tesseract:
    """Reads images in one or several languages."""

    def __init__(self, *wanted: str, layout: int = 11) -> None:
        """`layout` is tesseract's --psm: 11 finds text anywhere, 7 treats the image as one line.

        Raises `UserError` naming the language that is not installed.
        """
        for language in wanted:
            if language not in languages():
                has = ", ".join(sorted(languages())) or "no tesseract at all"
                raise UserError(f"tesseract cannot read {language!r} here (there is {has}); install its language file")
        self.command = ["tesseract", "stdin", "stdout", "-l", "+".join(wanted), "--psm", str(layout)]

    def read(self, image: OneImage) -> str:
        """Read one image in [0, 1]: its lines joined by spaces; empty when there is no text."""
        return joined(self.lines(image))

    def lines(self, image: OneImage) -> Lines:
        """Read one image in [0, 1]: its lines, each a list of words."""
        picture = to_pil(image)
        scale = min(max(TALLEST / max(picture.size), 1.0), LARGEST / max(picture.size))
        if scale != 1:
            picture = picture.resize((max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)))
        data = io.BytesIO()
        picture.save(data, format="BMP", dpi=(300, 300))
        # One thread: several images are read in parallel, and more threads would only wait for each other.
        done = subprocess.run(
            self.command,
            input=data.getvalue(),
            capture_output=True,
            check=False,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
        )
        if done.returncode:
            raise UserError(f"tesseract failed: {' '.join(done.stderr.decode(errors='replace').split())[:200]}")
        return [line.split() for line in done.stdout.decode(errors="replace").splitlines() if line.strip()]
