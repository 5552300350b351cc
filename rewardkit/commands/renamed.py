"""Options that had another name; the old one gets a hint on the command line and in a TOML file."""

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
"""Letters of a list of known names that still help."""


def suggestion(name: str, known: Iterable[str], dashes: str = "--") -> str:
    """Say what an unknown option is called now, or which known one is near; list them where they are few."""
    names = set(known)
    new = RENAMED.get(name.replace("_", "-"), "")
    spelled = new if dashes else new.replace("-", "_")
    if spelled in names:
        return f"{dashes}{name} is now {dashes}{spelled}"
    near = did_you_mean(name, names)
    return near if len(near) < LONGEST else "no name is near it"
