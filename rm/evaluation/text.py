"""A leaderboard of judges as text for the terminal, as Markdown, and as plain values for JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rewardkit.report.markdown import plain, table
from rewardkit.report.numbers import interval, number, signed
from rewardkit.report.text import aligned
from rewardkit.stats import Estimate
from rm.evaluation.comparison import Comparison, Conventions, Match, Standing
from rm.evaluation.profile import Profile


@dataclass(frozen=True)
class Board:
    """The content of a leaderboard of judges."""

    title: str
    comparisons: Sequence[Comparison]
    conventions: Conventions
    """The first convention ranks the judges and is used for the tests and the categories."""
    profiles: Mapping[str, Profile]
    skipped: str = ""
    """What was left out, in a line."""


def figure(estimate: Estimate) -> str:
    return f"{number(estimate.value)} {interval(estimate)}"


def megabytes(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"


def seconds(profile: Profile) -> str:
    return f"{1000 * profile.per_image:.3g} ms" if profile.images else "–"


def p_value(p: float) -> str:
    return "<\u00a00.0001" if p < 1e-4 else f"{p:.4f}"


def accuracy_rows(one: Comparison, board: Board) -> Iterable[list[str]]:
    """One row per judge: name, one figure per convention, pairs and prompts of the first."""
    leading = next(iter(board.conventions))
    for standing in one.standings:
        first = standing.accuracy[leading]
        figures = [figure(standing.accuracy[rule]) for rule in board.conventions]
        yield [standing.name, *figures, str(first.n), str(first.groups)]


def correlation_rows(one: Comparison) -> list[list[str]]:
    return [
        [standing.name, figure(standing.spearman), figure(standing.kendall), str(standing.kendall.n)]
        for standing in one.standings
        if standing.kendall.n
    ]


def match_row(match: Match) -> list[str]:
    return [
        f"{match.first} – {match.second}",
        f"{signed(match.difference.value)} {interval(match.difference)}",
        str(match.only_first),
        str(match.only_second),
        p_value(match.p),
        p_value(match.adjusted),
    ]


MATCH_HEADER = ["judges", "difference", "first more right", "second more right", "McNemar p", "Holm p"]
CORRELATION_HEADER = ["judge", "Spearman", "Kendall tau-b", "prompts"]
PROFILE_HEADER = ["judge", "an image", "peak memory", "images", "device"]


def profile_rows(board: Board) -> list[list[str]]:
    return [
        [name, seconds(profile), megabytes(profile.peak_bytes), str(profile.images), profile.device]
        for name, profile in board.profiles.items()
    ]


def category_rows(one: Comparison) -> dict[str, list[list[str]]]:
    """Kind -> one row per value: its name, pairs of the first judge, and one figure per judge."""
    kinds = {kind: values for standing in one.standings for kind, values in standing.categories.items()}
    return {
        kind: [
            [value, str(values[value].n), *(category_figure(standing, kind, value) for standing in one.standings)]
            for value in values
        ]
        for kind, values in kinds.items()
    }


def category_figure(standing: Standing, kind: str, value: str) -> str:
    found = standing.categories.get(kind, {}).get(value)
    return figure(found) if found else "–"


def terminal(board: Board) -> str:
    """Lay out the accuracies and the tests for a terminal."""
    lines = []
    for one in board.comparisons:
        lines += [f"{one.source}, {one.axis}"]
        leading, *others = board.conventions
        rows = [narrow(row, len(others)) for row in accuracy_rows(one, board)]
        lines += aligned([["judge", leading, "pairs", "prompts", *others], *rows])
        if one.matches:
            lines += ["", *aligned([MATCH_HEADER, *map(match_row, one.matches)])]
        lines.append("")
    if board.profiles:
        lines += [*aligned([PROFILE_HEADER, *profile_rows(board)]), ""]
    return "\n".join([*lines, *([board.skipped] if board.skipped else []), *convention_lines(board.conventions)])


def narrow(row: Sequence[str], others: int) -> list[str]:
    """Keep only the interval of the first convention, followed by its pairs and prompts, for narrow terminals."""
    name, first, *rest = row
    return [name, first, *rest[others:], *(words.partition(" ")[0] for words in rest[:others])]


def convention_lines(conventions: Conventions) -> list[str]:
    return [f"{rule}: {convention.words} ({convention.source})" for rule, convention in conventions.items()]


def markdown(board: Board) -> str:
    """Write the tables for a README or a pull request; the output is deterministic."""
    parts = [f"# {plain(board.title)}", "Brackets are 95 % intervals that resample prompts."]
    for one in board.comparisons:
        parts += [f"## {plain(one.source)}: {plain(one.axis)}"]
        parts += [rows_table(["judge", *board.conventions, "pairs", "prompts"], accuracy_rows(one, board))]
        if correlations := correlation_rows(one):
            parts += [rows_table(CORRELATION_HEADER, correlations)]
        if one.matches:
            parts += [rows_table(MATCH_HEADER, map(match_row, one.matches))]
        names = [standing.name for standing in one.standings]
        parts += [rows_table([kind, "pairs", *names], rows) for kind, rows in category_rows(one).items()]
    if board.profiles:
        parts += ["## Speed and memory", rows_table(PROFILE_HEADER, profile_rows(board))]
    rows = [[rule, one.words, one.average, one.source] for rule, one in board.conventions.items()]
    parts += ["## Conventions", rows_table(["name", "how a pair counts", "mean over", "used by"], rows)]
    return "\n\n".join([*parts, *([plain(board.skipped)] if board.skipped else [])]) + "\n"


def rows_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return table([plain(name) for name in header], ([plain(cell) for cell in row] for row in rows))


def as_json(board: Board) -> dict[str, Any]:
    """Return the board as plain values."""
    conventions = {
        rule: {"words": one.words, "average": one.average, "source": one.source}
        for rule, one in board.conventions.items()
    }
    profiles = {
        name: asdict(profile) | {"seconds_per_image": profile.per_image} for name, profile in board.profiles.items()
    }
    return {
        "title": board.title,
        "tie_rule": next(iter(board.conventions)),
        "conventions": conventions,
        "comparisons": [asdict(one) for one in board.comparisons],
        "costs": profiles,
        "skipped": board.skipped,
    }
