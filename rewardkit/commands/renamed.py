"""Renamed options: the old name gets a hint on the command line and in a TOML file."""

from collections.abc import Iterable

from rewardkit.errors import did_you_mean

RENAMED: dict[str, str] = {
    "sampling-steps": "steps",
    "learning-rate": "lr",
    "holdout": "held-out",
    "warmup": "warmup-share",
    "save-every": "save-every-epochs",
    "vae-steps": "vae-updates",
    "base-steps": "base-updates",
    "clip-steps": "clip-updates",
    "rewriter-steps": "rewriter-updates",
}
"""Old name -> new name; it counts only for a command that has the new one and not the old one."""

LONGEST = 200
"""Maximum length of a list of known names in a message."""


def suggestion(name: str, known: Iterable[str], dashes: str = "--") -> str:
    """Suggest the new name of an unknown option or the closest known one; list all if there are few."""
    names = set(known)
    new = RENAMED.get(name.replace("_", "-"), "")
    spelled = new if dashes else new.replace("-", "_")
    if spelled in names:
        return f"{dashes}{name} is now {dashes}{spelled}"
    near = did_you_mean(name, names)
    return near if len(near) < LONGEST else "no option has a similar name"
