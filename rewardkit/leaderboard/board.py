"""The sections of a leaderboard's page, from a comparison."""

from collections.abc import Callable, Mapping, Sequence

from rewardkit.leaderboard.compare import Comparison, Group, PromptScores, Ranking, Standing
from rewardkit.leaderboard.markdown import KINDS, left_out
from rewardkit.report.html import Html, escape, join, span
from rewardkit.report.numbers import interval, number, signed
from rewardkit.report.page import (
    Card,
    Interval,
    Picture,
    Row,
    Section,
    cards,
    difference_cell,
    direction,
    estimate_cell,
    forest,
    gallery,
    heading,
    share_matrix,
    table,
    win_cell,
)
from rewardkit.stats import Estimate

WORDS = {
    False: "These show whether an entry is better: none was used in training, so none could be gamed.",
    True: "A rise here shows that training increased its own reward. It does not prove better images: "
    "compare with the judges above.",
}
Draw = Callable[[str, str, Mapping[str, str]], Picture]
"""(entry, prompt, scores to show below) -> the image of the gallery."""


def sections(
    comparison: Comparison, entries: Mapping[str, PromptScores], shown: Sequence[str], draw: Draw
) -> list[Section]:
    """Lay out a leaderboard: figures, images of the `shown` prompts, details, and what was left out."""
    kinds = [[ranking for ranking in comparison.rankings if ranking.score.trained is trained] for trained in KINDS]
    first = Section("At a glance", [summary(comparison)], glance_words(comparison))
    scored = [
        Section(title, [block for ranking in rankings for block in ranking_blocks(ranking)], WORDS[trained])
        for (trained, title), rankings in zip(KINDS.items(), kinds, strict=True)
        if rankings
    ]
    words = f"{len(shown)} prompts spread evenly over the {comparison.prompts}, not chosen by hand or by score."
    images = [Section("Images", [pictures(comparison, entries, shown, draw)], words)] if shown else []
    groups = [block for ranking in comparison.rankings if ranking.groups for block in group_blocks(ranking)]
    detail = (
        [Section("By kind of prompt", groups, "The same figures on the prompts that share a tag.")] if groups else []
    )
    return [first, *images, *scored, *detail, Section("What was compared", [facts(comparison)])]


def glance_words(comparison: Comparison) -> str:
    if len(comparison.entries) == 1:
        return f"Means over {comparison.prompts} prompts with 95 % intervals."
    return (
        f"Change against {comparison.entries[0].name}: the mean, over {comparison.prompts} shared prompts, of the "
        "difference on the same prompt. Brackets are 95 % intervals; colour means that the interval excludes zero."
    )


def summary(comparison: Comparison) -> Html:
    """Show cards for one entry or two, and a table of all scores for more."""
    if len(comparison.entries) <= 2:
        return cards([card(ranking) for ranking in comparison.rankings])
    rows = [
        [entry.name, *(overview_cell(ranking.standings[index]) for ranking in comparison.rankings)]
        for index, entry in enumerate(comparison.entries)
    ]
    return table(["", *(score_label(ranking) for ranking in comparison.rankings)], rows)


def card(ranking: Ranking) -> Card:
    """Show the change from the baseline to the other entry, or the mean of a single entry."""
    baseline, last = ranking.standings[0], ranking.standings[-1]
    change = last.difference
    if change is None:
        return Card(score_label(ranking), number(last.mean.value), f"{interval(last.mean)}\nn {last.mean.n}")
    good = True if change.low > 0 else False if change.high < 0 else None
    values = f"{number(baseline.mean.value)} → {number(last.mean.value)}"
    return Card(score_label(ranking), signed(change.value), f"{interval(change)}\n{values}, n {change.n}", good)


def score_label(ranking: Ranking) -> str:
    return f"{ranking.score.name} (trained with)" if ranking.score.trained else ranking.score.name


def overview_cell(standing: Standing) -> Html:
    """Write a mean with the change below."""
    mean = number(standing.mean.value)
    return join([mean, span("small", difference_words(standing.difference))]) if standing.difference else escape(mean)


def difference_words(change: Estimate) -> Html:
    return span(direction(change), signed(change.value))


def ranking_blocks(ranking: Ranking) -> list[Html]:
    """Show one score: a table of all entries, their differences as intervals, and who beats whom."""
    names = [standing.entry for standing in ranking.standings]
    columns = header(ranking.standings)
    rows = [[standing.entry, *standing_cells(standing)[: len(columns)]] for standing in ranking.standings]
    blocks = [heading(ranking.score.name, aside=ranking.score.axis), table(["", *columns], rows)]
    others = [Interval(standing.entry, standing.difference) for standing in ranking.standings if standing.difference]
    if others:
        blocks.append(forest(others, better=f"against {names[0]}, right is better"))
    if len(names) > 2:
        caption = "How often the entry of the row beats that of the column on the same prompt; a tie counts half"
        blocks.append(share_matrix(names, ranking.wins, caption=caption))
    return blocks


def header(standings: Sequence[Standing]) -> list[str]:
    return ["Mean", f"Against {standings[0].entry}", "Wins"] if len(standings) > 1 else ["Mean"]


def standing_cells(standing: Standing) -> list[Html]:
    mean = estimate_cell(standing.mean)
    if standing.difference is None:
        return [mean, Html("–"), Html("–")]
    return [mean, difference_cell(standing.difference), win_cell(standing.wins)]


def group_blocks(ranking: Ranking) -> list[Html]:
    """Show one score on each tag's groups: intervals of the change, or a table of means for a single entry."""
    blocks = [heading(ranking.score.name)]
    for tag in dict.fromkeys(group.tag for group in ranking.groups):
        groups = [group for group in ranking.groups if group.tag == tag]
        names = [standing.entry for standing in groups[0].standings]
        rows = [
            [f"{group.value} (n {group.standings[0].mean.n})", *map(group_cell, group.standings)] for group in groups
        ]
        blocks.append(table([tag, *names], rows))
        blocks += [forest(group_intervals(groups), better=f"{names[-1]} against {names[0]}")] if len(names) > 1 else []
    return blocks


def group_cell(standing: Standing) -> str:
    return number(standing.mean.value)


def group_intervals(groups: Sequence[Group]) -> list[Interval]:
    last = [(group.value, group.standings[-1].difference) for group in groups]
    return [Interval(value, difference) for value, difference in last if difference]


def pictures(comparison: Comparison, entries: Mapping[str, PromptScores], shown: Sequence[str], draw: Draw) -> Html:
    """Put the entries' images of each prompt side by side, with the first scores below."""
    names = [ranking.score.name for ranking in comparison.rankings][:3]
    rows = [
        Row(prompt, [draw(entry, prompt, note(scores.get(prompt, {}), names)) for entry, scores in entries.items()])
        for prompt in shown
    ]
    return gallery(rows)


def note(scores: Mapping[str, float], names: Sequence[str]) -> dict[str, str]:
    return {name: number(scores[name], 2) for name in names if name in scores}


def facts(comparison: Comparison) -> Html:
    """List the entries, what was left out of them, and why."""
    rows = [
        [entry.name, str(entry.images), str(entry.prompts), f"{entry.source} ({entry.layout})", left_out(entry)]
        for entry in comparison.entries
    ]
    return table(["", "Images", "Prompts", "Source", "Left out"], rows, numbers=0)
