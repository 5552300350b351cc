"""Results of `benchmarks/wind_tunnel.py`: gains, speed-ups, a table and a plot."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from benchmarks.wind_recipes import OWN, PUBLISHED
from rewardkit.errors import UserError
from rewardkit.io.files import write_text
from rewardkit.stats import CONFIDENCE, Estimate

Floats = NDArray[np.float64]
Curves = dict[str, Floats]
"""Recipe -> array of (seeds, evaluations, prompts)."""

Draws = tuple[Floats, Floats]
"""Bootstrap weights of seeds and of prompts: (draws, seeds) and (draws, prompts), each row summing to 1."""

DRAWS = 4000
BOUNDS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
OURS = "ours"


def write_report(results: Sequence[dict[str, Any]], out: Path, about: Mapping[str, object]) -> str:
    """Write summary.json and wind_tunnel.png for complete seeds; return the table."""
    results = whole_seeds(results)
    gold, trained, seconds = curves(results, "gold"), curves(results, "trained"), clocks(results)
    summary = summarise(gold, trained, seconds, results)
    where = {name: value for name, value in about.items() if name != "command"}  # its paths are specific to one machine
    write_text(out / "summary.json", json.dumps(finite({**summary, "about": where}), indent=1) + "\n")
    draw(gold, trained, seconds, out / "wind_tunnel.png")
    return f"{table(summary)}\n\n{headline(summary)}"


def finite(value: Any) -> Any:
    """Replace infinity (reached at once) by null, because JSON has no infinity."""
    if isinstance(value, dict):
        return {name: finite(part) for name, part in value.items()}
    return None if isinstance(value, float) and math.isinf(value) else value


def whole_seeds(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out seeds that not every recipe has run, because differences are paired by seed."""
    if not results:
        raise UserError("no run is finished yet; run the benchmark without --report")
    recipes = {result["recipe"] for result in results}
    if OURS not in recipes:
        raise UserError(f"all are compared with {OURS!r}, which has not run; add it to --recipes")
    ran = {(result["recipe"], result["seed"]) for result in results}
    return [result for result in results if all((recipe, result["seed"]) in ran for recipe in recipes)]


def curves(results: Sequence[dict[str, Any]], kind: str) -> Curves:
    """One number per image at every evaluation: the mean over the axes its prompt asks for.

    Trained rewards are z-scores against the untuned base's images of the same prompts.
    """
    found: dict[str, list[Floats]] = {}
    for result in results:
        axes = [
            np.array([row[kind][axis] for row in result["evaluations"]], dtype=np.float64)
            for axis in result["evaluations"][0][kind]
        ]
        if kind == "trained":
            axes = [(scores - np.nanmean(scores[0])) / max(float(np.nanstd(scores[0])), 1e-6) for scores in axes]
        found.setdefault(result["recipe"], []).append(np.nanmean(np.stack(axes), 0))
    return {recipe: np.stack(runs) for recipe, runs in found.items()}


def clocks(results: Sequence[dict[str, Any]]) -> dict[str, Floats]:
    """CPU seconds at every evaluation, the mean over the seeds."""
    found: dict[str, list[list[float]]] = {}
    for result in results:
        found.setdefault(result["recipe"], []).append([row["seconds"] for row in result["evaluations"]])
    return {recipe: np.array(seconds).mean(0) for recipe, seconds in found.items()}


def summarise(
    gold: Curves, trained: Curves, seconds: Mapping[str, Floats], results: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Figures of every recipe, and of ours against the best published recipe and against the best of all others."""
    shape = next(iter(gold.values())).shape
    draws = resamples(shape[0], shape[2])
    rows = {
        name: {
            "updates": updates(results, name),
            "seconds": seconds[name].tolist(),
            "gold": means(gold[name]),
            "gold_gain": plain(estimate(gain(gold[name]), draws)),
            "gold_gain_by_seed": gain(gold[name]).mean(1).tolist(),
            "trained_gain": plain(estimate(gain(trained[name]), draws)),
            "ours_minus_it": plain(estimate(gain(gold[OURS]) - gain(gold[name]), draws)),
            "ours_faster": speedup(gold[OURS], gold[name], seconds[OURS], draws),
        }
        for name in gold
    }
    final = {name: row["gold"][-1] for name, row in rows.items()}
    others = {"published": [n for n in PUBLISHED if n in final], "any": [n for n in final if n not in OWN]}
    rivals = {kind: max(names, key=final.__getitem__) for kind, names in others.items() if names}
    winner = max(final, key=final.__getitem__)
    return {"seeds": shape[0], "prompts": shape[2], "winner": winner, "best_rival": rivals, "recipes": rows}


def updates(results: Sequence[dict[str, Any]], name: str) -> float:
    return float(np.mean([result["evaluations"][-1]["updates"] for result in results if result["recipe"] == name]))


def means(runs: Floats) -> list[float]:
    return [float(value) for value in runs.mean((0, 2))]


def gain(runs: Floats) -> Floats:
    """Last evaluation minus the first, (seeds, prompts)."""
    return runs[:, -1] - runs[:, 0]


def resamples(seeds: int, prompts: int) -> Draws:
    """Resample seeds and prompts with replacement, as weights; the same for every figure."""
    generator = np.random.default_rng(0)
    shares = [generator.multinomial(size, np.full(size, 1 / size), DRAWS) / size for size in (seeds, prompts)]
    return shares[0], shares[1]


def estimate(values: Floats, draws: Draws) -> Estimate:
    """Mean of (seeds, prompts), with the percentile interval of the two-way bootstrap."""
    low, high = np.quantile(drawn_means(values, draws), BOUNDS)
    return Estimate(float(values.mean()), float(low), float(high), values.size)


def drawn_means(values: Floats, draws: Draws) -> Floats:
    """Mean of (seeds, ..., prompts) under every resample, (draws, ...)."""
    means: Floats = np.einsum("ds,s...p,dp->d...", draws[0], values, draws[1])
    return means


def plain(figure: Estimate) -> dict[str, float]:
    return {"value": figure.value, "low": figure.low, "high": figure.high}


def speedup(ours: Floats, theirs: Floats, seconds: Floats, draws: Draws) -> dict[str, float]:
    """The budget over the time at which our mean curve reaches their last mean; 0 if it never does."""
    whole = budget_over_time(ours.mean((0, 2)), float(theirs[:, -1].mean()), seconds)
    levels = drawn_means(theirs[:, -1], draws)
    drawn = [budget_over_time(c, level, seconds) for c, level in zip(drawn_means(ours, draws), levels, strict=True)]
    low, high = np.quantile(drawn, BOUNDS, method="inverted_cdf")
    return {"value": whole, "low": float(low), "high": float(high)}


def budget_over_time(curve: Floats, level: float, seconds: Floats) -> float:
    """The budget over the time to `level`, interpolated linearly between evaluations.

    0 if the curve never reaches it, infinite if it starts there.
    """
    reached = np.flatnonzero(curve >= level)
    if not len(reached):
        return 0.0
    after = int(reached[0])
    if after == 0:
        return math.inf
    share = (level - curve[after - 1]) / (curve[after] - curve[after - 1])
    return float(seconds[-1] / (seconds[after - 1] + share * (seconds[after] - seconds[after - 1])))


def table(summary: Mapping[str, Any]) -> str:
    """One line per recipe, best gold first."""
    lines = [
        f"{summary['seeds']} seeds x {summary['prompts']} held-out prompts\n",
        "| recipe | updates | gold at the end | gold gained | trained reward gained, sd | ours minus it, gold | "
        "ours is faster, times |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = sorted(summary["recipes"].items(), key=lambda item: -item[1]["gold"][-1])
    for name, row in rows:
        against = ["", ""] if name == OURS else [shown(row["ours_minus_it"], 3), times(row["ours_faster"])]
        cells = [
            name,
            f"{row['updates']:.0f}",
            f"{row['gold'][-1]:.3f}",
            shown(row["gold_gain"], 3),
            shown(row["trained_gain"], 2),
            *against,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def headline(summary: Mapping[str, Any]) -> str:
    """The best recipe, and how much sooner ours reaches the final gold of its best rivals."""
    lines = [f"Most gold at the end: {summary['winner']}."]
    for kind, name in summary["best_rival"].items():
        row, of = summary["recipes"][name], "of the published recipes" if kind == "published" else "of all others"
        lines.append(
            f"Best {of}: {name}; ours minus it {shown(row['ours_minus_it'], 3)} gold; ours reaches its final gold "
            f"{times(row['ours_faster'])} times sooner."
        )
    return "\n".join(lines)


def shown(figure: Mapping[str, float], places: int) -> str:
    return "{value:+.{0}f} [{low:+.{0}f}, {high:+.{0}f}]".format(places, **figure)


def times(figure: Mapping[str, float]) -> str:
    words = {0.0: "never", math.inf: "at once"}
    value, low, high = (words.get(figure[key], f"{figure[key]:.1f}") for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def draw(gold: Curves, trained: Curves, seconds: Mapping[str, Floats], path: Path) -> None:
    """Plot gold against CPU seconds and against the trained reward; gold falls where the reward is gamed."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.9), sharey=True)
    for name, runs in gold.items():
        style: dict[str, Any] = {"linewidth": 2.4, "color": "black"} if name == OURS else {"linewidth": 1.1}
        style |= {"marker": "o", "markersize": 3, "label": name, "linestyle": "--" if name in PUBLISHED else "-"}
        left.plot(seconds[name], means(runs), **style)
        right.plot(means(trained[name]), means(runs), **style)
    left.set(xlabel="CPU seconds of updates", ylabel="gold score, held-out prompts")
    right.set(xlabel="trained reward, sd of the base's images")
    right.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)
