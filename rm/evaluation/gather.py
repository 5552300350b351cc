"""Gather what a leaderboard of judges compares: rewards scored on sets of pairs, and precomputed scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rewardkit.data import PreferenceRecord, Skipped, axes_of
from rewardkit.errors import UserError
from rewardkit.io.named import split_name
from rewardkit.rewards.loaded import LoadedReward
from rewardkit.rewards.registry import load_rewards
from rewardkit.training.device import DTypeName
from rm.evaluation.profile import Profile, measured
from rm.evaluation.rankings import Ranking, read_rankings
from rm.evaluation.score_pairs import Judged, judge_pairs


@dataclass
class Gathered:
    """Rankings by set and axis, then by judge; the profile of each judge; what was left out."""

    judges: dict[tuple[str, str], dict[str, list[Ranking]]] = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)
    skipped: Skipped = field(default_factory=Skipped)

    def add(self, source: str, axis: str, judge: str, rankings: Sequence[Ranking]) -> None:
        """Add one judge's rankings; raise `UserError` if its name is already taken."""
        there = self.judges.setdefault((source, axis), {})
        if judge in there:
            raise UserError(f"two judges are called {judge!r}; name one of them, like: NAME={judge}")
        there[judge] = list(rankings)


def judge_names(reward: LoadedReward, name: str) -> dict[str, tuple[str, str]]:
    """Map every score of a reward to the name of its judge and to its axis."""
    return {
        score: (name + score.removeprefix(reward.name) if name else score, axis) for score, axis in reward.axes.items()
    }


def axes_to_measure(axis: str, judged: Sequence[str]) -> Sequence[str]:
    """The axes to evaluate a score on: its own, or all axes of a set that does not judge its axis."""
    return (axis,) if axis in judged else judged


def source_names(paths: Sequence[Path]) -> list[str]:
    """Name sets by folder and file; by the whole path if two names would be equal."""
    short = [f"{path.resolve().parent.name}/{path.stem}" for path in paths]
    return [name if short.count(name) == 1 else str(path) for name, path in zip(short, paths, strict=True)]


def gather_rewards(
    into: Gathered,
    specs: Sequence[str],
    sets: Mapping[str, Sequence[PreferenceRecord]],
    axes: Sequence[str],
    batch_size: int,
    device: str,
    dtype: DTypeName = "float32",
) -> None:
    """Load one reward at a time, to measure its memory and time, and score all sets with it."""
    for name, spec in map(split_name, specs):
        with measured(device) as profile:
            (reward,) = load_rewards([spec], device, dtype)
            skipped = Skipped()
            for source, records in sets.items():
                judged = judge_pairs(
                    reward, records, skipped, profile, batch_size, f"{name or reward.name} on {source}"
                )
                place(into, judged, judge_names(reward, name), source, axes or axes_of(records))
            into.skipped = skipped  # the images are the same for every reward
        into.profiles[name or reward.name] = profile


def place(
    into: Gathered, judged: Judged, names: Mapping[str, tuple[str, str]], source: str, axes: Sequence[str]
) -> None:
    """Add the rankings of every score to the axes it is evaluated on."""
    for score in judged.scores:
        judge, own_axis = names[score]
        for axis in axes_to_measure(own_axis, axes):
            into.add(source, axis, judge, judged.rankings(score, axis, source))


def gather_scores(into: Gathered, paths: Sequence[Path], axes: Sequence[str]) -> None:
    """Read precomputed scores, from files of one judge each or of many judges."""
    source = "ready scores" if len(paths) > 1 else paths[0].stem
    for path in paths:
        for (judge, axis), rankings in read_rankings(path, into.skipped).items():
            if not axes or axis in axes:
                into.add(source, axis, judge, rankings)
