"""Time two implementations of the same work, alternating, and the ratio of their times with its interval.

`processor_seconds` on one thread (see `one_thread`) are hardly affected by other programs; `wall_seconds` are, and they
are what a user waits for when threads share the work: measure them on an idle machine.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

import torch

from rewardkit.stats import Estimate, mean_interval
from rewardkit.training.versions import versions

Work = Callable[[], object]


@dataclass(frozen=True)
class Goal:
    """What a ratio should be."""

    side: Literal["at least", "at most"]
    value: float

    def verdict(self, ratio: Estimate) -> str:
        """Return yes or no if the whole interval is on one side of the goal, else open."""
        if self.side == "at least":
            reached, missed = ratio.low >= self.value, ratio.high < self.value
        else:
            reached, missed = ratio.high <= self.value, ratio.low > self.value
        return "yes" if reached else "no" if missed else "open"


@dataclass(frozen=True)
class Row:
    """One comparison: both medians in seconds, and the ratio that the goal refers to."""

    what: str
    ours: float
    other: float
    ratio: Estimate
    goal: Goal
    note: str = ""

    def markdown(self) -> str:
        shown = f"{self.ratio.value:.2f} [{self.ratio.low:.2f}, {self.ratio.high:.2f}]"
        times = f"{1000 * self.ours:.0f} | {1000 * self.other:.0f}"
        goal = f"{self.goal.side} {self.goal.value:g} | {self.goal.verdict(self.ratio)}"
        return f"| {self.what} | {times} | {shown} | {self.ratio.n} | {goal} | {self.note} |"


HEAD = "| what | ours, ms | other, ms | ratio | n | goal | reached | |\n|---|---|---|---|---|---|---|---|"


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread, and on one core if the system supports CPU affinity."""
    threads = torch.get_num_threads()
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()
    torch.set_num_threads(1)
    if cores:
        os.sched_setaffinity(0, {max(cores)})
    yield
    torch.set_num_threads(threads)
    if cores:
        os.sched_setaffinity(0, cores)


def processor_seconds(work: Work) -> float:
    """Processor seconds of one run."""
    began = time.process_time()
    work()
    return time.process_time() - began


def wall_seconds(work: Work) -> float:
    """Wall-clock seconds of one run."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turns(
    first: Work, second: Work, repetitions: int, clock: Callable[[Work], float] = processor_seconds
) -> tuple[list[float], list[float]]:
    """Time both after one warm-up run of each; the order alternates."""
    first(), second()
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(repetitions):
        for side in (0, 1) if turn % 2 == 0 else (1, 0):
            times[side].append(clock((first, second)[side]))
    return times


def ratio(over: Sequence[float], under: Sequence[float]) -> Estimate:
    """Geometric mean of the paired ratios, with Student's t interval of their logarithms."""
    logs = mean_interval([math.log(a / b) for a, b in zip(over, under, strict=True)])
    return Estimate(math.exp(logs.value), math.exp(logs.low), math.exp(logs.high), logs.n)


def speed_up(what: str, ours: Sequence[float], other: Sequence[float], goal: float, note: str = "") -> Row:
    """A row with how many times as long the other takes."""
    return Row(what, median(ours), median(other), ratio(other, ours), Goal("at least", goal), note)


def write_results(rows: Sequence[Row], file: Path, extra: dict[str, Any]) -> None:
    """Write the rows with versions and hardware as JSON."""
    found = {
        "date": time.strftime("%Y-%m-%d"),
        "processor": processor(),
        **extra,
        **versions(),
        "rows": [
            {
                "what": row.what,
                "ours_s": row.ours,
                "other_s": row.other,
                "ratio": [row.ratio.value, row.ratio.low, row.ratio.high],
                "n": row.ratio.n,
                "goal": f"{row.goal.side} {row.goal.value:g}",
                "reached": row.goal.verdict(row.ratio),
                "note": row.note,
            }
            for row in rows
        ],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def processor() -> str:
    """The processor's model name, or "unknown"."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
