"""One page over all rounds: the judges' means by round against the base, from the same noise."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rewardkit.images import load_image
from rewardkit.io.files import write_text
from rewardkit.io.jsonl import read_objects
from rewardkit.report.numbers import interval, number, signed
from rewardkit.report.page import Picture, Row, Section, gallery, page, table
from rewardkit.report.plots import Interval, forest
from rewardkit.report.thumbnails import tensor_picture
from rewardkit.stats import Estimate, paired_difference

SHOWN = 8

CONTROL = "one long round"
"""The entry of `--control`: as many updates as all rounds together, with the first reward model."""


def summarise(out: Path) -> dict[str, Any]:
    """By judge and round: the mean, and the paired difference from the base; by judge that from the control."""
    board = json.loads((out / "compare/leaderboard.json").read_text())
    rows = list(read_objects(out / "compare/scores.jsonl"))
    judges = {}
    for ranking in board["rankings"]:
        name = ranking["score"]["name"]
        standings = {
            one["entry"]: {"mean": one["mean"]["value"], "difference": one["difference"]}
            for one in ranking["standings"]
        }
        judges[name] = {
            "trained": ranking["score"]["trained"],
            "rounds": standings,
            "over_control": over_control(rows, name),
        }
    return {"judges": judges, "steps": json.loads((out / "steps.json").read_text())}


def over_control(rows: Sequence[Mapping[str, Any]], judge: str) -> dict[str, float] | None:
    """The last round minus the control, prompt by prompt; None without a control, or if no prompt is judged."""
    scores: dict[str, list[float]] = {}
    for row in rows:
        scores.setdefault(row["entry"], []).append(math.nan if row.get(judge) is None else row[judge])
    control = scores.pop(CONTROL, None)
    if control is None:
        return None
    both = [pair for pair in zip(control, list(scores.values())[-1], strict=True) if not any(map(math.isnan, pair))]
    return asdict(paired_difference(*zip(*both, strict=True))) if both else None


def write_report(out: Path, summary: Mapping[str, Any]) -> Path:
    """Write `report.html` and return its path."""
    path = out / "report.html"
    names = list(next(iter(summary["judges"].values()))["rounds"])
    sections = verdict(summary["judges"]) + [figures(name, judge) for name, judge in summary["judges"].items()]
    sections += [pictures(out, names), steps(summary)]
    words = "Rounds of generating images, mining failures, labelling, training reward models and tuning the policy."
    write_text(path, page("Rounds", sections, subtitle=words))
    return path


def verdict(judges: Mapping[str, Any]) -> list[Section]:
    """Whether rounds helped: the last one against one round with as many updates."""
    against = {
        name: Estimate(**judge["over_control"])
        for name, judge in judges.items()
        if judge["over_control"] and not judge["trained"]
    }
    if not against:
        return []
    rows = [[name, outcome(change), change_of(change), str(change.n)] for name, change in against.items()]
    heads = ["Judge", "Rounds", "Last round minus one long round", "Prompts"]
    words = "The last round against one round of as many updates with the first reward model, by held-out judges."
    return [Section("Did rounds help?", [table(heads, rows)], words)]


def outcome(change: Estimate) -> str:
    """Describe a change by its interval."""
    return "better" if change.low > 0 else "worse" if change.high < 0 else "no measurable difference"


def figures(name: str, judge: Mapping[str, Any]) -> Section:
    """One judge: the mean after every round, and the change from the base."""
    changes = {
        entry: Estimate(**one["difference"]) for entry, one in judge["rounds"].items() if one["difference"] is not None
    }
    changed = {entry: [change_of(change), str(change.n)] for entry, change in changes.items()}
    rows = [[entry, number(one["mean"]), *changed.get(entry, ["", ""])] for entry, one in judge["rounds"].items()]
    words = "Trained on: it shows whether training worked, not whether images are better." if judge["trained"] else ""
    lines = forest([Interval(entry, change) for entry, change in changes.items()])
    return Section(name, [lines, table(["After", "Mean", "Change from the base", "Prompts"], rows)], words)


def change_of(estimate: Estimate) -> str:
    return f"{signed(estimate.value)} {interval(estimate)}"


def pictures(out: Path, names: list[str]) -> Section:
    """The first held-out prompts after every round, from the same noise."""
    folders = {name: out / "compare/images" / name.replace(" ", "_") for name in names}
    prompts = list(read_objects(folders[names[0]] / "prompts.jsonl"))[:SHOWN]
    rows = [Row(row["prompt"], [picture(folders[name] / row["image"], name) for name in names]) for row in prompts]
    return Section("Images", [gallery(rows)], "Same prompts, same noise.")


def picture(path: Path, name: str) -> Picture:
    return tensor_picture(load_image(path), name, {})


def steps(summary: Mapping[str, Any]) -> Section:
    """Every command that was run."""
    rows = [[step["what"], f"{step['seconds']:.0f}"] for step in summary["steps"].values()]
    return Section("Every step", [table(["Command", "Seconds"], rows)], "Each can be run by hand as shown.")
