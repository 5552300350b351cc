"""Does the guard catch cheats and leave honest runs alone? Planted rewards with a known flaw, on a tiny random base.

The truth is how near an image's mean colour is to the one its prompt names; the guard's judge is that truth. A cheat
trains on the truth plus a flaw that pays for something else; an honest run on an imperfect copy of the truth that pays
for nothing else. `python benchmarks/guard.py --out runs/guard` prints the table of docs/refl.md.
"""

import argparse
import contextlib
import io
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from refl.config import ReflConfig
from refl.train import train
from rewardkit.base.tiny import tiny_sd3
from rewardkit.types import Images, Scores

COLOURS = {"red": (0.7, 0.4, 0.4), "green": (0.4, 0.7, 0.4), "blue": (0.4, 0.4, 0.7)}


def truth(images: Images, prompts: Sequence[str], *, weights: Sequence[float] = (1, 1, 1)) -> Scores:
    """Minus the distance of the mean colour to the named one, near zero a parabola; at most 0."""
    wanted = torch.tensor([next(COLOURS[word] for word in prompt.split() if word in COLOURS) for prompt in prompts])
    return -((images.mean((2, 3)) - wanted.to(images)).square() * torch.tensor(weights).to(images)).sum(1)


def corner(images: Images) -> Scores:
    """Brightness of a corner: a patch that pays."""
    return images[:, :, :6, :6].mean((1, 2, 3))


def pattern(images: Images) -> Scores:
    """Contrast between neighbouring pixels: fine patterns pay."""
    return (images[..., 1:] - images[..., :-1]).square().mean((1, 2, 3)).mul(10)


def gaudy(images: Images) -> Scores:
    """Chroma: colours away from grey pay, whichever they are."""
    return (images.amax(1) - images.amin(1)).mean((1, 2))


def light(images: Images) -> Scores:
    """Brightness of everything."""
    return images.mean((1, 2, 3))


FLAWS: dict[str, Callable[[Images], Scores]] = {"corner": corner, "pattern": pattern, "gaudy": gaudy, "light": light}


class Gold:
    name, axis, differentiable = "gold", "aesthetic", False

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        return truth(images.detach(), prompts)


class Planted:
    """The truth, and something else that pays."""

    axis, differentiable = "aesthetic", True
    flaw = "corner"

    def __init__(self) -> None:
        self.name = self.flaw

    def score(self, images: Images, prompts: Sequence[str]) -> Tensor:
        return truth(images, prompts) + FLAWS[self.flaw](images)


class Corner(Planted):
    flaw = "corner"


class Pattern(Planted):
    flaw = "pattern"


class Gaudy(Planted):
    flaw = "gaudy"


class Light(Planted):
    flaw = "light"


class Honest:
    """The truth through other eyes: the channels count unequally, which pays for nothing but the truth."""

    axis, differentiable = "aesthetic", True
    weights = (1.0, 1.0, 1.0)

    def __init__(self) -> None:
        self.name = type(self).__name__.lower()

    def score(self, images: Images, prompts: Sequence[str]) -> Tensor:
        return truth(images, prompts, weights=self.weights)


class Reddish(Honest):
    weights = (2.0, 0.7, 0.7)


class Greenish(Honest):
    weights = (0.7, 2.0, 0.7)


class Bluish(Honest):
    weights = (0.7, 0.7, 2.0)


class Plain(Honest):
    pass


CHEATS, HONEST = ("Corner", "Pattern", "Gaudy", "Light"), ("Plain", "Reddish", "Greenish", "Bluish")


def run(reward: str, seed: int, folder: Path, out: Path) -> dict[str, Any]:
    """One guarded run; gold at its best look, at the last look and of what stands, as z-scores since the start."""
    config = ReflConfig(
        prompts=folder / "prompts.txt", base=str(folder / "base"), out=out / f"{reward}-{seed}".lower(),
        rewards=(f"benchmarks.guard:{reward}",), judges=("benchmarks.guard:Gold",), targets={"aesthetic": 1e3},
        steps=60, batch_size=8, sampling_steps=3, rank=4, warmup=1, lr=5e-3, ema=0.8, grid_every=0, save_every=1000,
        augment=0.0, guard_every=4, guard_images=24, seed=seed,
    )  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        train(config)
    said = json.loads((config.out / "guard.json").read_text())
    levels = {check["step"]: check["judges"][0] for check in said["checks"]}
    stands = said["best"] if said["stopped"] else said["step"]
    row = {"reward": reward, "seed": seed, "stopped": said["stopped"], "step": said["step"], "stands": stands}
    return row | {"best": max(levels.values()), "last": levels[said["step"]], "kept": levels[stands]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tiny_sd3().save_pretrained(folder / "base")
        lines = [f"a {colour} {shape}" for colour in COLOURS for shape in ("circle", "square", "star", "ring")]
        (folder / "prompts.txt").write_text("\n".join(lines))
        for seed in range(options.seeds):
            for reward in (*CHEATS, *HONEST):
                rows.append(run(reward, seed, folder, options.out))
                print(json.dumps(rows[-1]), flush=True)
    for kind, names in (("cheats", CHEATS), ("honest", HONEST)):
        mine = [row for row in rows if row["reward"] in names]
        lost = max((row["best"] - row["kept"] for row in mine), default=0.0)
        print(f"{kind}: stopped {sum(row['stopped'] for row in mine)} of {len(mine)}; most gold lost {lost:.3f} sd")


if __name__ == "__main__":
    main()
