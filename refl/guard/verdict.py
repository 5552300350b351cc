"""Write the results of the guard: guard.json, and guard.png with the curves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from refl.guard.rules import LIMITS, Check, Values, Verdict, change
from rewardkit.io.files import beside
from rewardkit.training.run import Run


def write_verdict(run: Run, checks: Sequence[Check], verdict: Verdict) -> None:
    """Write the verdict, the means of every check, and their figure into the run folder."""
    rows = [row(checks[0], check) for check in checks]
    about = {
        "stopped": verdict.stop,
        "step": verdict.step,
        "best": verdict.best,
        "stands": verdict.stands,
        "sentence": verdict.sentence,
    }
    run.write("guard.json", about | {"n": len(checks[0].trained), "checks": rows})
    draw(checks, verdict, run.folder / "guard.png")


def row(start: Check, check: Check) -> dict[str, Any]:
    """Changes since the start, each with its 95 % interval."""
    values = {"trained": (start.trained, check.trained), "judges": (start.mean, check.mean)}
    values |= {f"judge/{name}": (start.judges[name], check.judges[name]) for name in check.judges}
    values |= {f"probe/{name}": (start.probes[name], check.probes[name]) for name in LIMITS}
    return {"step": check.step} | {name: interval(*pair) for name, pair in values.items()}


def interval(before: Values, after: Values) -> list[float | None]:
    """Change, lower and upper end; the ends are None if there are too few images for an interval."""
    found = change(before, after)
    return [float(x) if abs(x) != float("inf") else None for x in (found.value, found.low, found.high)]


def draw(checks: Sequence[Check], verdict: Verdict, path: Path) -> None:
    """Plot the trained reward and the judges, and the probes below, as changes since the start."""
    figure = Figure(figsize=(7, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    start = checks[0]
    band(above, "trained reward", checks, [(start.trained, check.trained) for check in checks])
    band(above, "judges", checks, [(start.mean, check.mean) for check in checks])
    for name in start.judges:
        level = [change(start.judges[name], check.judges[name]).value for check in checks]
        above.plot([check.step for check in checks], level, linewidth=0.8, linestyle=":", label=name)
    for name in LIMITS:
        band(below, name, checks, [(start.probes[name], check.probes[name]) for check in checks])
    for axes, label in ((above, "standard deviations"), (below, "change of the probe")):
        axes.axvline(verdict.best, color="grey", linestyle="--", linewidth=1)
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    above.set_title(verdict.sentence, fontsize="small", wrap=True)
    below.set_xlabel("update (dashed: best by the judges)")
    temporary = beside(path)
    figure.savefig(temporary, dpi=120, format="png")
    temporary.replace(path)


def band(axes: Axes, label: str, checks: Sequence[Check], pairs: Sequence[tuple[Values, Values]]) -> None:
    """One curve of changes with its 95 % band."""
    found = [change(before, after) for before, after in pairs]
    steps = [check.step for check in checks]
    (line,) = axes.plot(steps, [one.value for one in found], marker="o", markersize=3, label=label)
    axes.fill_between(steps, [one.low for one in found], [one.high for one in found], alpha=0.2, color=line.get_color())
