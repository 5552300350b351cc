"""A leaderboard as Markdown, for a README or a pull request."""

from rewardkit.leaderboard.compare import Comparison, EntryFacts, Ranking, Standing
from rewardkit.report.markdown import plain, table
from rewardkit.report.numbers import interval, number, percent, signed

KINDS = {False: "Judges that no entry was trained with", True: "Rewards that an entry was trained with"}


def markdown(comparison: Comparison) -> str:
    """Write the tables; the output is deterministic."""
    parts = [
        f"# {plain(comparison.title)}",
        f"{comparison.prompts} prompts that all entries share; differences and wins are against "
        f"**{plain(comparison.entries[0].name)}**, prompt by prompt; brackets are 95 % intervals.",
    ]
    for trained, title in KINDS.items():
        rankings = [ranking for ranking in comparison.rankings if ranking.score.trained is trained]
        if rankings:
            parts += [f"## {title}", *(part for ranking in rankings for part in ranking_parts(ranking))]
    parts += [
        "## Entries",
        table(["entry", "source", "images", "prompts", "left out"], map(facts_row, comparison.entries)),
    ]
    return "\n\n".join(parts) + "\n"


def ranking_parts(ranking: Ranking) -> list[str]:
    header = ["entry", "mean", "95 %", "n", "difference", "95 %", "wins"]
    parts = [
        f"### {plain(ranking.score.name)} ({plain(ranking.score.axis)})",
        table(header, map(standing_row, ranking.standings)),
    ]
    rows = [
        [plain(f"{group.tag}: {group.value}"), *standing_row(standing)]
        for group in ranking.groups
        for standing in group.standings
    ]
    return [*parts, table(["prompts", *header], rows)] if rows else parts


def standing_row(standing: Standing) -> list[str]:
    row = [plain(standing.entry), number(standing.mean.value), interval(standing.mean), str(standing.mean.n)]
    if standing.difference is None or standing.wins is None:
        return [*row, "–", "–", "–"]
    return [*row, signed(standing.difference.value), interval(standing.difference), percent(standing.wins.value)]


def facts_row(facts: EntryFacts) -> list[str]:
    return [
        plain(facts.name),
        plain(f"{facts.source} ({facts.layout})"),
        str(facts.images),
        str(facts.prompts),
        left_out(facts),
    ]


def left_out(facts: EntryFacts) -> str:
    """Describe what was left out of an entry, and why."""
    counts = {
        "listed but missing": facts.missing,
        "unreadable": facts.unreadable,
        "without a prompt": facts.unmatched,
        "prompts another entry lacks": facts.unshared,
    }
    return ", ".join(f"{what}: {count}" for what, count in counts.items() if count) or "nothing"
