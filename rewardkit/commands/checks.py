"""Checks of the options that commands share, before anything is loaded or written.

Imports no torch for a CPU.
"""

import os
from pathlib import Path
from typing import Any

from rewardkit.commands.ranges import check_numbers
from rewardkit.errors import UserError

FILES = ("score", "calibrate", "pairs check", "plan", "pe rewrite")
"""Commands whose `--out` is a file; that of `eval-rm` may be either."""
EITHER = ("eval-rm",)


def check(name: str, options: Any) -> None:
    """Check numbers, devices and the output of a command; raise `UserError` for the first invalid option."""
    check_numbers(options)
    for field in ("device", "reward_device"):
        device = getattr(options, field, "")
        if device not in ("", "auto", "cpu"):
            from rewardkit.training.device import pick_device

            pick_device(device)
    seed = getattr(options, "seed", 0)
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed is a whole number from 0 to {2**32 - 1}; got {seed}")
    out = getattr(options, "out", None)
    if out is not None:
        check_out(name, Path(out))


def check_out(name: str, out: Path) -> None:
    """Refuse an output of the wrong kind, with a name that is too long, or in a folder that is not writable."""
    try:
        there = next(path for path in (out, *out.absolute().parents) if os.path.lexists(path))
        out.is_dir()
    except OSError as error:  # a name too long
        raise UserError(f"--out cannot be {str(out)[:80]}...: {str(error.strerror).lower()}; choose another") from error
    if any(len(os.fsencode(part)) > 255 for part in out.parts):
        raise UserError(f"--out cannot be {str(out)[:80]}...: a name is longer than 255 bytes; choose a shorter one")
    if there == out:
        if name in FILES and out.is_dir():
            raise UserError(f"--out is a folder ({out}); name a file, like {out / 'result'}")
        if name not in (*FILES, *EITHER) and not out.is_dir():
            raise UserError(f"--out is a file ({out}); name a folder")
    elif not there.is_dir():
        raise UserError(f"--out cannot be {out}: {there} is a file; choose another path")
    folder = there if there.is_dir() else there.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"--out cannot be {out}: no permission to write in {folder}; choose another path")
