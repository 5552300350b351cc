"""Steps that run once each, in order, so that a recipe can be stopped and resumed."""

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rewardkit.io.files import read_object, write_json


class Once:
    """Runs steps once each: finished steps, their seconds and their results are in a JSON file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self.passed: list[str] = []
        self.done: dict[str, dict[str, Any]] = read_object(path, "start in another folder") if path.is_file() else {}

    def step(self, name: str, what: str, work: Callable[[], Mapping[str, Any] | None]) -> None:
        """Run `work` unless this exact step is finished; steps after an unfinished step run again."""
        self.count += 1
        if self.done.get(name, {}).get("what") == what:
            print(f"[{self.count:2}] {name}: done before", file=sys.stderr)
            self.passed.append(name)
            return
        print(f"\n[{self.count:2}] {what}", file=sys.stderr, flush=True)
        began = time.monotonic()
        self.done = {one: self.done[one] for one in self.passed}  # the others depend on the step that runs again
        found = work() or {}
        self.passed.append(name)
        self.done[name] = {"what": what, "seconds": round(time.monotonic() - began, 1), **found}
        write_json(self.path, self.done)

    @property
    def seconds(self) -> float:
        return round(sum(step["seconds"] for step in self.done.values()), 1)
