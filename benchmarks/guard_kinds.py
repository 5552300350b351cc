"""What `benchmarks/guard.py` trains on, as options of `rewardkit refl`: planted flaws, and honest rewards."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rewardkit.posters.judge import rms_contrast
from rewardkit.types import Images, Scores

SAME: dict[str, Any] = {
    "updates": 16,
    "batch_size": 8,
    "steps": 5,
    "window": (0.2, 0.8),
    "warmup": 3,
    "resume": True,
    "judges": ("posters-alignment", "posters-aesthetic"),
    "guard_every": 4,
    "grid_every": 0,
    "save_every": 1000,
}
"""What all runs share."""

PACES: dict[str, dict[str, Any]] = {
    "demo": {"lr": 1e-3, "updates": 32, "guard_every": 2, "guard_images": 128},
    "fast": {},
}
"""How far a run goes between two checks: all at the demo's lr, or cheats at three times that, checked half as often."""


class Flaw:
    """A reward that is easy to raise without better images."""

    axis, differentiable = "aesthetic", True

    def __init__(self) -> None:
        self.name = type(self).__name__.lower()


class Corner(Flaw):
    """Brightness of a corner."""

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        return images[:, :, :16, :16].mean((1, 2, 3))


class Pattern(Flaw):
    """Difference of neighbouring pixels."""

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        return (images[..., 1:] - images[..., :-1]).square().mean((1, 2, 3))


class Gaudy(Flaw):
    """Chroma."""

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        return (images.amax(1) - images.amin(1)).mean((1, 2))


class Light(Flaw):
    """Brightness of the whole image."""

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        return images.mean((1, 2, 3))


class Contrast(Flaw):
    """Spread of the luma."""

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        return rms_contrast(images)


@dataclass(frozen=True)
class Kind:
    """One kind of run, cheating or honest."""

    honest: bool
    rewards: tuple[str, ...]
    """Axes of the reward model, as #axis, and flaws of this file."""
    options: dict[str, Any]


OPEN: dict[str, Any] = {"lr": 3e-3, "targets": {"alignment": 1e3, "aesthetic": 1e3}, "kl": 0.0, "augment": 0.0}
KEPT: dict[str, Any] = {"lr": 1e-3, "targets": {"aesthetic": 0.2, "alignment": 1.5, "text": 2.0}, "kl": 1.0}
FLAW_WEIGHT = 3.0


def cheat(flaw: type[Flaw]) -> Kind:
    name = flaw.__name__
    rewards = ("#alignment", f"benchmarks.guard_kinds:{name}")
    return Kind(False, rewards, OPEN | {"weights": {name.lower(): FLAW_WEIGHT}})


def honest(*axes: str, **options: Any) -> Kind:
    targets = {axis: KEPT["targets"][axis] for axis in axes}
    return Kind(True, tuple(f"#{axis}" for axis in axes), KEPT | {"targets": targets} | options)


KINDS = {
    "corner": cheat(Corner),
    "pattern": cheat(Pattern),
    "gaudy": cheat(Gaudy),
    "light": cheat(Light),
    "contrast": cheat(Contrast),
    "demo": honest("alignment", "aesthetic", "text", weights={"text": 2.0}),
    "balanced": honest("alignment", "aesthetic", "text", balance=True),
    "two heads": honest("alignment", "text"),
    "alignment": honest("alignment"),
    "text": honest("text"),
}
