"""Compare entries on the prompts they share: means, paired differences to the first entry, win rates, breakdowns.

All functions are pure: scores in, a `Comparison` out, from which page, Markdown and JSON are rendered.
One prompt is one observation: a prompt with several images counts once, by the mean of its images.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rewardkit.stats import Estimate, WinRate, mean_interval, paired_difference, win_rate

PromptScores = Mapping[str, Mapping[str, float]]
"""prompt -> score name -> value; scores that do not apply to a prompt are absent."""

MOST_GROUPS = 12


@dataclass(frozen=True)
class EntryFacts:
    """What was compared, and what was left out."""

    name: str
    source: str
    layout: str
    images: int
    prompts: int
    missing: int = 0
    """Images that are listed but missing."""
    unreadable: int = 0
    """Image files that could not be read."""
    unmatched: int = 0
    """Images without a prompt."""
    unshared: int = 0
    """Prompts left out because another entry lacks them."""


@dataclass(frozen=True)
class Score:
    """A column of the leaderboard."""

    name: str
    axis: str
    trained: bool
    """Whether an entry was trained with it; only scores that were not trained on are evidence."""


@dataclass(frozen=True)
class Standing:
    """One entry by one score; difference and wins are against the first entry, on the same prompts."""

    entry: str
    mean: Estimate
    difference: Estimate | None = None
    wins: WinRate | None = None


@dataclass(frozen=True)
class Group:
    """The standings on the prompts that share a tag's value."""

    tag: str
    value: str
    standings: tuple[Standing, ...]


@dataclass(frozen=True)
class Ranking:
    """All entries by one score."""

    score: Score
    standings: tuple[Standing, ...]
    wins: tuple[tuple[float | None, ...], ...]
    """wins[i][j] is the fraction of prompts where entry i beats entry j, counting ties as half."""
    groups: tuple[Group, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """A leaderboard."""

    title: str
    prompts: int
    """How many prompts all entries share."""
    entries: tuple[EntryFacts, ...]
    rankings: tuple[Ranking, ...]


def shared_prompts(entries: Sequence[Iterable[str]]) -> list[str]:
    """Return the prompts that every entry has, in the order of the first."""
    others = [set(entry) for entry in entries[1:]]
    return [prompt for prompt in dict.fromkeys(entries[0]) if all(prompt in other for other in others)]


def prompt_means(rows: Iterable[tuple[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """Average the images of each prompt: (prompt, scores) rows to one set of scores per prompt."""
    collected: dict[str, dict[str, list[float]]] = {}
    for prompt, scores in rows:
        columns = collected.setdefault(prompt, {})
        for name, value in scores.items():
            columns.setdefault(name, []).append(value)
    return {
        prompt: {name: math.fsum(values) / len(values) for name, values in columns.items()}
        for prompt, columns in collected.items()
    }


def rank(
    score: Score, entries: Mapping[str, PromptScores], prompts: Sequence[str], tags: Mapping[str, Mapping[str, Any]]
) -> Ranking:
    """Rank entries by one score on shared prompts; the first entry is the baseline."""
    columns = column(score.name, entries, prompts)
    wins = tuple(
        tuple(
            None if mine == theirs or not columns[mine] else win_rate(columns[mine], columns[theirs]).value
            for theirs in columns
        )
        for mine in columns
    )
    groups = tuple(
        Group(tag, value, standings(column(score.name, entries, members)))
        for (tag, value), members in group_prompts(prompts, tags).items()
    )
    return Ranking(score, standings(columns), wins, tuple(group for group in groups if group.standings[0].mean.n))


def column(name: str, entries: Mapping[str, PromptScores], prompts: Sequence[str]) -> dict[str, list[float]]:
    """Take one score of every entry, on the prompts where every entry has it."""
    kept = [prompt for prompt in prompts if all(name in scores[prompt] for scores in entries.values())]
    return {entry: [scores[prompt][name] for prompt in kept] for entry, scores in entries.items()}


def standings(columns: Mapping[str, Sequence[float]]) -> tuple[Standing, ...]:
    baseline = next(iter(columns))
    return tuple(
        Standing(entry, mean_interval(values))
        if entry == baseline
        else Standing(
            entry,
            mean_interval(values),
            paired_difference(columns[baseline], values),
            win_rate(values, columns[baseline]),
        )
        for entry, values in columns.items()
    )


def group_prompts(prompts: Sequence[str], tags: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], list[str]]:
    """Group prompts by each tag that has 2 to 12 values and on average at least two prompts per value."""
    groups: dict[str, dict[str, list[str]]] = {}
    for prompt in prompts:
        for tag, value in tags.get(prompt, {}).items():
            for one in tag_values(value):
                groups.setdefault(tag, {}).setdefault(one, []).append(prompt)
    return {
        (tag, value): members
        for tag, values in groups.items()
        if 2 <= len(values) <= min(MOST_GROUPS, len(prompts) / 2)
        for value, members in sorted(values.items())
    }


def tag_values(value: Any) -> list[str]:
    """Convert a tag to strings: a list gives several, a nested value none."""
    if isinstance(value, list):
        return [str(one) for one in dict.fromkeys(str(one) for one in value)]
    return [] if value is None or isinstance(value, dict) else [str(value)]


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Convert a comparison to plain JSON values; an interval or mean that does not exist is null."""
    plain: dict[str, Any] = without_infinities(asdict(comparison))
    return plain


def without_infinities(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: without_infinities(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_infinities(one) for one in value]
    return value
