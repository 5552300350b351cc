"""Options of `rewardkit eval-rm`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rewardkit.posters.names import TEMPERATURE
from rewardkit.training.device import DTypeName

TieRule = Literal[
    "ties-excluded",
    "ties-half",
    "strict",
    "imagereward",
    "hpsv2",
    "hpsv2-imagereward",
    "pickscore",
    "pickscore-trainer",
]


@dataclass(frozen=True)
class EvalRmConfig:
    """Measure the accuracy of a reward model; with gold scores, also the best accuracy that noisy labels allow.

    Several models, precomputed scores or an output folder make a leaderboard: every convention with its interval, rank
    correlation, categories, paired tests, agreement, time and memory.
    """

    model: Path | None = None
    """A single reward model: its folder, or the name of any reward."""
    data: tuple[Path, ...] = ()
    """Files, folders, globs or hub ids of pairs that were not trained on, in our format or that of a public set."""
    columns: tuple[str, ...] = ()
    """Which column of the data is which, if they are not recognised: prompt=text first=left second=right label=vote. A
    label is P(first is better), or names the better image."""
    models: tuple[str, ...] = ()
    """Reward models to compare on a leaderboard, by name, folder or "module:Class", or NAME=one of these."""
    scores: tuple[Path, ...] = ()
    """Precomputed scores to compare: .jsonl, one row per prompt with prompt, scores, ranks (smaller is better) and
    optionally name, axis, category."""
    axes: tuple[str, ...] = ()
    """Axes to evaluate; by default all that the reward models and the pairs share."""
    ties: TieRule = "ties-excluded"
    """How ties count. A leaderboard shows all conventions and ranks by this one."""
    threshold: float = 0.0
    """For the convention pickscore: scores tie if |P(first) - P(second)| is at most this. Choose it on other pairs."""
    gold: Path | None = None
    """Gold scores of the pairs (.jsonl, AXIS: [first, second]), for the best accuracy that noisy labels allow."""
    temperature: dict[str, float] = field(default_factory=lambda: dict(TEMPERATURE))
    """Label noise by axis: P(first) = sigmoid((gold of first - gold of second) / temperature)."""
    out: Path | None = None
    """FILE.json for the results. A leaderboard also accepts a folder, for its page, Markdown and JSON."""
    title: str = "Judges"
    """Title of the leaderboard."""
    batch_size: int = 64
    """Images per forward pass."""
    max_bad: float = 0.0
    """Largest accepted fraction of pairs with an unreadable image."""
    draws: int = 2000
    """Bootstrap resamples of the prompts for the intervals of a leaderboard."""
    seed: int = 0
    """Random seed of the resampling."""
    device: str = "auto"
    """Device: auto (the GPU where there is one), cpu, cuda or mps."""
    dtype: DTypeName = "auto"
    """Precision in which the reward models compute: auto is bfloat16 on a GPU, float32 on a CPU."""
