"""Format a plan: a table, a verdict, and what to change in which order if it does not fit."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rewardkit.plan.advice import Rung
from rewardkit.plan.planner import GIB, RESERVE, Plan


def text(plan: Plan, rungs: Sequence[Rung]) -> str:
    """The output of the command."""
    config = plan.config
    head = (
        f"ReFL on {config.base}: {config.size} px, batch {config.batch_size}, LoRA rank {config.rank}, "
        f"{config.grad_steps} of {config.steps} steps with a graph, {config.dtype}"
    )
    lines = [head, "Planned from configuration files; nothing was loaded or measured.", ""]
    lines += [*resident(plan), "", *phases(plan), "", verdict(plan, rungs)]
    return "\n".join([*lines, *ladder(plan, rungs)])


def resident(plan: Plan) -> list[str]:
    """Static memory by part."""
    rows = [f"{'allocated throughout':24}{'parameters':>12}{'GiB':>9}"]
    for name, size in plan.resident.items():
        count = plan.parameters.get("lora" if name == "LoRA" else name)
        rows.append(f"  {name:22}{millions(count):>12}{size / GIB:9.2f}")
    return [*rows, f"  {'total':22}{'':>12}{sum(plan.resident.values()) / GIB:9.2f}"]


def phases(plan: Plan) -> list[str]:
    """Phases of one update."""
    config = plan.config
    rows = [f"{'phase':24}{'peak GiB':>12}{'graph GiB':>12}{'TFLOP':>10}{'seconds':>10}"]
    for each in plan.phases:
        name = each.name if each.times == 1 else f"{each.name}, {each.times} steps"
        rows.append(
            f"  {name:22}{each.peak / GIB:12.2f}{each.graph / GIB:12.2f}{each.flops / 1e12:10.2f}{each.seconds:10.2f}"
        )
    total = f"  {'one update':22}{plan.worst.peak / GIB:12.2f}{'':>12}"
    flops = sum(each.flops for each in plan.phases) / 1e12
    return [
        *rows,
        f"{total}{flops:10.2f}{plan.seconds:10.2f}",
        f"Seconds are an estimate: {config.card} at {config.share:.0%} of its peak, and its memory's bandwidth for the "
        f"rest; {config.updates} updates take about {duration(plan.seconds * config.updates)}.",
    ]


def verdict(plan: Plan, rungs: Sequence[Rung]) -> str:
    """One line: whether it fits, and which changes would make it fit."""
    room = f"{plan.capacity / (1 - RESERVE):g} GiB ({RESERVE:.0%} of them kept free)"
    peak = f"peak {plan.worst.peak / GIB:.1f} GiB in {plan.worst.name}"
    if plan.fits:
        return f"Fits {room}: {peak}."
    for index, rung in enumerate(rungs):
        if rung.plan.fits:
            changes = ", ".join(each.change for each in rungs[: index + 1])
            return f"Does not fit {room}: {peak}. Fits with {changes}: {rung.plan.worst.peak / GIB:.1f} GiB."
    return f"Does not fit {room}: {peak}, nor with all of the changes below; use a larger card."


def ladder(plan: Plan, rungs: Sequence[Rung]) -> list[str]:
    """Cumulative changes, with the resulting peaks."""
    rows = [
        f"  {rung.change:44}{rung.plan.worst.peak / GIB:8.2f} GiB in {rung.plan.worst.name}, "
        f"{rung.plan.seconds:.2f} s per update"
        for rung in rungs
    ]
    return ["Cumulative changes, those that do not affect the result first:", *rows] if rows else []


def as_json(plan: Plan, rungs: Sequence[Rung]) -> dict[str, Any]:
    """Everything, in bytes, FLOPs and seconds."""
    config = {key: str(value) if key == "out" else value for key, value in asdict(plan.config).items()}
    return {
        "measured": False,
        "config": config,
        "parameters": dict(plan.parameters),
        "held_bytes": dict(plan.resident),
        "phases": [asdict(each) for each in plan.phases],
        "peak_bytes": plan.worst.peak,
        "peak_phase": plan.worst.name,
        "seconds_an_update": plan.seconds,
        "fits": plan.fits,
        "verdict": verdict(plan, rungs),
        "next": [{"change": rung.change, "peak_bytes": rung.plan.worst.peak, "fits": rung.plan.fits} for rung in rungs],
    }


def millions(count: int | None) -> str:
    return "" if count is None else f"{count / 1e6:,.1f} M"


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
