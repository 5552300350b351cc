"""`rewardkit leaderboard`: compare image folders or models by rewards and judges; one page, one JSON, one Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from rewardkit.diffusion.cut import warn_cut
from rewardkit.errors import UserError
from rewardkit.io.files import write_json, write_text
from rewardkit.io.jsonl import write_rows
from rewardkit.leaderboard import board
from rewardkit.leaderboard.compare import (
    Comparison,
    EntryFacts,
    PromptScores,
    Score,
    as_json,
    prompt_means,
    rank,
    shared_prompts,
)
from rewardkit.leaderboard.config import LeaderboardConfig
from rewardkit.leaderboard.entries import Drawing, Entry, parse_entries, read_entry
from rewardkit.leaderboard.markdown import markdown
from rewardkit.prompts import evenly, has_text, language, read_prompts
from rewardkit.report import thumbnails
from rewardkit.report.page import Picture, page
from rewardkit.rewards.calibration import on_scale
from rewardkit.rewards.loaded import LoadedReward
from rewardkit.rewards.registry import load_rewards
from rewardkit.rewards.scoring import Scored, score_items


def run(config: LeaderboardConfig) -> None:
    """Compare image folders or models on the prompts they share."""
    sources = parse_entries(config.entry)
    judges = load_rewards(list(config.judges), config.device, config.dtype)
    rewards = load_rewards(list(config.rewards), config.device, config.dtype)
    scored = on_scale([*judges, *rewards], config.calibration)
    judges, rewards = scored[: len(judges)], scored[len(judges) :]
    columns = score_columns(judges, rewards)
    drawing = Drawing(config.steps, config.guidance, config.seed, config.batch_size, config.device, config.dtype)
    prompts = None if config.prompts is None else read_prompts(config.prompts, config.column)
    entries = [
        read_entry(name, source, prompts, drawing, config.limit, config.out / "images" / safe_name(name))
        for name, source in sources.items()
    ]
    warn_cut((item.prompt for entry in entries for item in entry.folder.items), rewards=[*judges, *rewards])
    rows = {entry.name: score_entry(entry, [*judges, *rewards], config, prompts_of(entries)) for entry in entries}
    for entry in entries:
        say_trouble(entry, rows[entry.name])
    comparison, scores = compare(config.title, entries, rows, columns)
    write_report(config, comparison, scores, rows)
    print(f"report: {config.out / 'leaderboard.html'}")


def score_columns(judges: Sequence[LoadedReward], rewards: Sequence[LoadedReward]) -> list[Score]:
    """Name the columns, judges first; a reward cannot be both."""
    columns = [
        Score(name, axis, trained)
        for trained, group in ((False, judges), (True, rewards))
        for reward in group
        for name, axis in reward.axes.items()
    ]
    names = [column.name for column in columns]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"{twice!r} is given twice; a reward that an entry was trained with is no judge: name it once")
    if not columns:
        raise UserError("nothing to compare by; give --judges or --rewards, like --judges ocr")
    return columns


def prompts_of(entries: Sequence[Entry]) -> list[str]:
    """Return the prompts that every entry has; raise `UserError` if there is none."""
    shared = shared_prompts([[item.prompt for item in entry.folder.items] for entry in entries])
    if not shared:
        layouts = "; ".join(f"{entry.name}: {entry.folder.layout}" for entry in entries)
        raise UserError(f"the entries share no prompt, so nothing can be compared ({layouts})")
    return shared


def score_entry(
    entry: Entry, rewards: Sequence[LoadedReward], config: LeaderboardConfig, shared: Sequence[str]
) -> list[Scored]:
    """Score an entry's images of the shared prompts."""
    wanted = set(shared[: config.limit] if config.limit else shared)
    items = [item for item in entry.folder.items if item.prompt in wanted]
    return score_items(items, rewards, batch_size=config.batch_size, device=config.device, label=entry.name)


def compare(
    title: str, entries: Sequence[Entry], rows: Mapping[str, Sequence[Scored]], columns: Sequence[Score]
) -> tuple[Comparison, dict[str, PromptScores]]:
    """Compare scored entries on the prompts that every one of them has a readable image of."""
    readable = {name: [row for row in scored if not row.error] for name, scored in rows.items()}
    scores: dict[str, PromptScores] = {
        name: prompt_means((row.item.prompt, row.scores) for row in scored) for name, scored in readable.items()
    }
    shared = shared_prompts(list(scores.values()))
    if not shared:
        errors = [row.error for scored in rows.values() for row in scored if row.error]
        raise UserError(f"no prompt has a readable image in every entry; the first error: {errors[0]}")
    tags = {row.item.prompt: prompt_tags(row) for scored in readable.values() for row in scored}
    rankings = tuple(rank(column, scores, shared, tags) for column in columns)
    listed = len(prompts_of(entries))
    facts = tuple(entry_facts(entry, rows[entry.name], scores[entry.name], listed, len(shared)) for entry in entries)
    kept = tuple(ranking for ranking in rankings if ranking.standings[0].mean.n)
    for ranking in rankings:
        if ranking not in kept:
            print(f"{ranking.score.name} is left out: no shared prompt asks for text in quotes")
    return Comparison(title, len(shared), facts, kept), scores


def prompt_tags(row: Scored) -> dict[str, Any]:
    """Add the tags that every prompt has to those of its file."""
    prompt = row.item.prompt
    return {**row.item.tags, "language": language(prompt), "asks for text": "yes" if has_text(prompt) else "no"}


def entry_facts(entry: Entry, rows: Sequence[Scored], readable: PromptScores, listed: int, shared: int) -> EntryFacts:
    """Count what was compared of an entry; `listed` prompts are in every entry, `shared` of them readable in each."""
    folder = entry.folder
    prompts = len({item.prompt for item in folder.items})
    return EntryFacts(
        entry.name,
        entry.source,
        folder.layout,
        len(folder.items),
        prompts,
        missing=len(folder.missing),
        unreadable=sum(bool(row.error) for row in rows),
        unmatched=len(folder.unmatched),
        unshared=prompts - listed + len(readable) - shared,
    )


def say_trouble(entry: Entry, rows: Sequence[Scored]) -> None:
    """Name the first of each kind of image that could not be compared."""
    for what, examples in (
        ("listed but missing", list(entry.folder.missing)),
        ("unreadable", [row.error for row in rows if row.error]),
        ("without a prompt", list(entry.folder.unmatched)),
    ):
        if examples:
            print(f"{entry.name}: {len(examples)} {what}, the first: {examples[0]}")


def write_report(
    config: LeaderboardConfig,
    comparison: Comparison,
    scores: Mapping[str, PromptScores],
    rows: Mapping[str, Sequence[Scored]],
) -> None:
    """Write the page, its figures and the scores of all images."""
    files = {
        (name, row.item.prompt): row.item.path
        for name, scored in rows.items()
        for row in reversed(scored)
        if not row.error
    }

    def draw(entry: str, prompt: str, facts: Mapping[str, str]) -> Picture:
        return thumbnails.picture(files.get((entry, prompt)), entry, facts, config.thumbnail)

    shared = shared_prompts(list(scores.values()))
    shown = evenly(shared, min(config.gallery, len(shared)))
    parts = board.sections(comparison, scores, shown, draw)
    names = ", ".join(entry.name for entry in comparison.entries)
    html = page(
        config.title,
        parts,
        subtitle=f"{names} on {comparison.prompts} prompts",
        footer="Made by rewardkit leaderboard.",
    )
    raw = [
        {
            "entry": name,
            "image": str(row.item.path),
            "prompt": row.item.prompt,
            **row.scores,
            **({"error": row.error} if row.error else {}),
        }
        for name, scored in rows.items()
        for row in scored
    ]
    write_text(config.out / "leaderboard.html", html)
    write_json(config.out / "leaderboard.json", as_json(comparison))
    write_text(config.out / "leaderboard.md", markdown(comparison))
    write_rows(config.out / "scores.jsonl", raw)


def safe_name(name: str) -> str:
    """Convert an entry's name to a folder name."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name).strip(".") or "entry"
