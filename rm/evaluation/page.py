"""A leaderboard of judges as one self-contained page, in the style of the leaderboard of images."""

from collections.abc import Sequence

from rewardkit.report.html import Html, Text, escape, join, span
from rewardkit.report.numbers import number
from rewardkit.report.page import (
    Interval,
    Section,
    difference_cell,
    estimate_cell,
    forest,
    heading,
    page,
    share_matrix,
    table,
)
from rewardkit.stats import Estimate
from rm.evaluation.accuracy import Accuracy
from rm.evaluation.comparison import Comparison, Match, Standing
from rm.evaluation.text import MATCH_HEADER, Board, p_value, profile_rows


def html(board: Board, version: str) -> str:
    """Lay out the board: figures first, then each set, speed and memory, and how pairs are counted."""
    sections = [Section("At a glance", [glance(board)], glance_words(board))]
    sections += [set_section(one, board) for one in board.comparisons]
    if board.profiles:
        header = ["", "An image", "Peak memory", "Images", "Device"]
        words = "Time of the forward pass on decoded images; memory above what was in use before loading."
        sections.append(Section("Speed and memory", [table(header, profile_rows(board))], words))
    sections.append(Section("How accuracy is counted", [conventions_table(board)]))
    footer = " ".join(filter(None, [f"rewardkit {version}.", board.skipped]))
    subtitle = "How often judges prefer the image that people preferred"
    return page(board.title, sections, subtitle=subtitle, footer=footer)


def glance_words(board: Board) -> str:
    rule, convention = next(iter(board.conventions.items()))
    return (
        f"Pairwise accuracy, convention {rule}: {convention.words}. Below each figure are its 95 % interval, "
        "which resamples prompts, and the number of pairs."
    )


def glance(board: Board) -> Html:
    """One row per judge, one column per set and axis, sorted by the first set."""
    names = list(dict.fromkeys(standing.name for one in board.comparisons for standing in one.standings))
    leading = next(iter(board.conventions))
    found = [{one.name: one.accuracy[leading] for one in comparison.standings} for comparison in board.comparisons]
    rows = [[name, *(accuracy_cell(column.get(name)) for column in found)] for name in names]
    return table(["", *(title(one) for one in board.comparisons)], rows)


def title(one: Comparison) -> str:
    return f"{one.source}: {one.axis}"


def accuracy_cell(found: Accuracy | None) -> Html:
    return estimate_cell(found) if found else Html("–")


def interval_cell(estimate: Estimate) -> Html:
    """Write a figure with its interval below; n is elsewhere."""
    return join([number(estimate.value), span("small", span("whole", interval_words(estimate)))])


def interval_words(estimate: Estimate) -> Text:
    return f"[{number(estimate.low)}, {number(estimate.high)}]" if estimate.n > 1 else "–"


def set_section(one: Comparison, board: Board) -> Section:
    """Show a set: every convention, the tests, agreement, and the categories."""
    blocks = [heading("Under each convention"), accuracy_table(one, board)]
    if any(standing.kendall.n for standing in one.standings):
        blocks += [heading("Rank correlation", "Within a prompt, averaged over prompts."), correlation_table(one)]
    if one.matches:
        blocks += match_blocks(one)
    if len(one.standings) > 1:
        names = [standing.name for standing in one.standings]
        caption = "How often two judges prefer the same image; equal scores count half"
        blocks += [heading("Agreement"), share_matrix(names, one.agreement, caption=caption)]
    blocks += [block for kind in kinds(one) for block in category_blocks(one, kind)]
    first = one.standings[0].accuracy[next(iter(board.conventions))]
    return Section(title(one), blocks, f"{first.n} counted pairs of {first.groups} prompts.")


def accuracy_table(one: Comparison, board: Board) -> Html:
    rows = [
        [rule, *(interval_cell(standing.accuracy[rule]) for standing in one.standings)] for rule in board.conventions
    ]
    return table(["", *(standing.name for standing in one.standings)], rows)


def correlation_table(one: Comparison) -> Html:
    rows = [
        [standing.name, estimate_cell(standing.spearman), estimate_cell(standing.kendall)] for standing in one.standings
    ]
    return table(["", "Spearman", "Kendall tau-b"], rows)


def match_blocks(one: Comparison) -> list[Html]:
    """Show the differences to the best judge as intervals, and the test of every two judges."""
    best = one.standings[0].name
    others = [
        Interval(match.second, Estimate(-d.value, -d.high, -d.low, d.n))
        for match in one.matches
        if match.first == best
        for d in [match.difference]
    ]
    words = (
        "The interval of the difference resamples prompts; McNemar's test is exact and treats pairs as independent; "
        "Holm's correction covers all tests of this set."
    )
    return [
        heading("Against each other", words),
        forest(others, better=f"against {best}, right is better"),
        table(["", *(name.capitalize() if name[0].islower() else name for name in MATCH_HEADER[1:])], match_rows(one)),
    ]


def match_rows(one: Comparison) -> list[list[Text]]:
    return [match_cells(match) for match in one.matches]


def match_cells(match: Match) -> list[Text]:
    return [
        f"{match.first} – {match.second}",
        difference_cell(match.difference),
        str(match.only_first),
        str(match.only_second),
        p_value(match.p),
        p_value(match.adjusted),
    ]


def kinds(one: Comparison) -> list[str]:
    return list(dict.fromkeys(kind for standing in one.standings for kind in standing.categories))


def category_blocks(one: Comparison, kind: str) -> list[Html]:
    values = dict.fromkeys(value for standing in one.standings for value in standing.categories.get(kind, {}))
    rows = [[value, *(category_cell(standing, kind, value) for standing in one.standings)] for value in values]
    return [heading(f"By {kind}"), table(["", *(standing.name for standing in one.standings)], rows)]


def category_cell(standing: Standing, kind: str, value: str) -> Html:
    return accuracy_cell(standing.categories.get(kind, {}).get(value))


def conventions_table(board: Board) -> Html:
    rows: Sequence[Sequence[Text]] = [
        [rule, escape(one.words), f"mean over {one.average}", one.source] for rule, one in board.conventions.items()
    ]
    return table(["", "How a pair counts", "Unit", "Used by"], rows, numbers=0)
