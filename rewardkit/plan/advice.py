"""What to change if a run does not fit: a ladder of cumulative changes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from rewardkit.plan.config import PlanConfig
from rewardkit.plan.planner import Plan, Planner

WORTH = 0.99
"""Changes that keep more than this fraction of the peak are left out."""


@dataclass(frozen=True)
class Rung:
    """A change, and the plan with it and all changes before it."""

    change: str
    plan: Plan


def changes(config: PlanConfig) -> Iterator[tuple[str, dict[str, object]]]:
    """Changes that a config allows: first those that do not change the result, then a smaller batch and image."""
    if config.text_encoders:
        yield "--no-text-encoders", {"text_encoders": False}
    if config.save_memory == "none":
        yield "--save-memory decoder", {"save_memory": "decoder"}
    if config.save_memory != "all":
        yield "--save-memory all", {"save_memory": "all"}
    if config.batch_size > 1:
        yield "--batch-size 1", {"batch_size": 1}
    if config.size > 512:
        yield f"--size {config.size // 2}", {"size": config.size // 2}


def climb(planner: Planner, plan: Plan) -> list[Rung]:
    """Apply changes until the run fits; none if it already fits."""
    rungs: list[Rung] = []
    config, peak = plan.config, plan.worst.peak
    for change, values in changes(plan.config):
        if (rungs[-1].plan if rungs else plan).fits:
            break
        tried = planner.plan(replace(config, **values))  # type: ignore[arg-type]
        if tried.worst.peak <= WORTH * peak:
            config, peak = tried.config, tried.worst.peak
            rungs.append(Rung(change, tried))
    return rungs
