"""The report of a run: rewards, judges, images before and after, and cost."""

from pathlib import Path
from typing import Any

from refl.config import ReflConfig
from refl.guard.monitor import Monitor
from refl.guard.rules import LIMITS, Values, change
from rewardkit.io.files import write_text
from rewardkit.io.jsonl import read_objects
from rewardkit.report.numbers import interval, signed
from rewardkit.report.page import Card, Html, Row, Section, cards, charts, gallery, page, text
from rewardkit.report.plots import Interval, Series, curves, forest
from rewardkit.report.thumbnails import picture

OTHERS = ("kl", "pretrain", "grad_norm")

SMOOTH = 10
"""Updates over which a point of a reward curve is averaged, because a single update has few images."""


def write_report(config: ReflConfig, monitor: Monitor | None, updates: int, seconds: float) -> Path:
    """Write `report.html` into the run's folder and return its path; `updates` and `seconds` are of this start."""
    rows = list(read_objects(config.out / "metrics.jsonl"))
    sections = [glance(config, rows, monitor, updates, seconds), rewards(rows)]
    sections += [judged(monitor)] if monitor else []
    sections += [images(config.out / "samples")] if config.grid_every else []
    path = config.out / "report.html"
    subtitle = f"{config.base}, objective {config.objective}, rewards {', '.join(map(str, config.rewards))}"
    write_text(path, page("ReFL run", sections, subtitle=subtitle))
    return path


def glance(
    config: ReflConfig, rows: list[dict[str, Any]], monitor: Monitor | None, updates: int, seconds: float
) -> Section:
    """Progress, cost, and the verdict of the guard."""
    done = rows[-1]["step"] if rows else 0
    cost = f"{seconds / updates:.2f} s per update of {config.batch_size} images" if updates else "no update was left"
    items = [Card("Updates", str(done), f"of {config.updates}"), Card("Time", f"{seconds / 60:.1f} min", cost)]
    if monitor is None:
        return Section("At a glance", [cards(items), text("The guard was off: no --judges were given.")])
    start, end = monitor.checks[0], monitor.checks[-1]
    for label, (before, after) in {
        "Trained reward": (start.trained, end.trained),
        "Judges": (start.mean, end.mean),
    }.items():
        found = change(before, after)
        good = True if found.low > 0 else False if found.high < 0 else None
        items.append(
            Card(label, signed(found.value), f"standard deviations\n{interval(found)}, n {found.n}", good=good)
        )
    verdict = monitor.verdict
    why = "the newest" if verdict.stands == verdict.step else "scored best by the judges"
    note = f"{why}\n{'stopped by the guard' if verdict.stop else ''}"
    items.append(Card("Weights kept", f"update {verdict.stands}", note))
    return Section("At a glance", [cards(items), text(f"Guard: {verdict.sentence}.")])


def rewards(rows: list[dict[str, Any]]) -> Section:
    """Curves of the rewards as z-scores, and of the distance to the base."""
    names = sorted({name for row in rows for name in row if name.startswith("z/")})
    names += [name for name in OTHERS if any(name in row for row in rows)]
    drawn = [curves(name.removeprefix("z/"), [series(rows, name)]) for name in names]
    words = f"Training batches, averaged over {SMOOTH} updates; rewards as z-scores, normalised on images of the base."
    return Section("Rewards", [charts(*drawn)], words)


def series(rows: list[dict[str, Any]], name: str) -> Series:
    """One quantity over the updates that have it."""
    points = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
    values = [value for _, value in points]
    parts = [values[max(0, i - SMOOTH + 1) : i + 1] for i in range(len(values))]
    return Series(name, [step for step, _ in points], [sum(part) / len(part) for part in parts])


def judged(monitor: Monitor) -> Section:
    """The judges and the trained reward, over the checks and at the end, and the probes."""
    checks = monitor.checks
    start, end = checks[0], checks[-1]

    def line(name: str, pairs: list[tuple[Values, Values]]) -> Series:
        found = [change(before, after) for before, after in pairs]
        lows, highs = [one.low for one in found], [one.high for one in found]
        return Series(name, [check.step for check in checks], [one.value for one in found], lows, highs)

    both = [
        line("trained reward", [(start.trained, check.trained) for check in checks]),
        line("judges", [(start.mean, check.mean) for check in checks]),
    ]
    probes = [
        curves(name, [line(name, [(start.probes[name], each.probes[name]) for each in checks])]) for name in LIMITS
    ]
    each = forest([Interval(name, change(before, end.judges[name])) for name, before in start.judges.items()])
    words = (
        f"Changes since the start on {len(start.trained)} images of the same prompts and noise, with 95 % intervals; "
        "rewards in standard deviations of the images of the start. Judges are rewards that are never trained."
    )
    return Section("Judges", [charts(curves("judges", both)), each, charts(*probes)], words)


def images(folder: Path) -> Section:
    """The first and the last grid."""
    grids = sorted(folder.glob("step_*.png"))
    shown: list[Html] = []
    if grids:
        pictures = [picture(path, f"update {int(path.stem[5:])}", side=720) for path in (grids[0], grids[-1])]
        shown = [gallery([Row("", pictures)])]
    return Section("Before and after", shown, "The same prompts from the same noise.")
