"""Commands run one after the other in a folder, each once, so that a recipe can be stopped and gone on with."""

import shlex
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rewardkit.commands.cli import run
from rewardkit.errors import UserError
from rewardkit.io.files import read_object, write_json


class Pipeline:
    """Runs steps once each: what is done, and the seconds it took, stand in steps.json."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.path = out / "steps.json"
        self.count = 0
        self.passed: list[str] = []
        out.mkdir(parents=True, exist_ok=True)
        self.done: dict[str, dict[str, Any]] = (
            read_object(self.path, "start in another folder") if self.path.is_file() else {}
        )

    def command(self, name: str, words: str, *arguments: object) -> None:
        """Run one command of rewardkit, with `--out OUT/NAME` added; a half-done folder of it is removed first."""
        argv = [*words.split(), *map(str, arguments), "--out", str(self.out / name)]
        self.step(name, shlex.join(["rewardkit", *argv]), lambda: self._run(name, argv))

    def _run(self, name: str, argv: Sequence[str]) -> None:
        target = self.out / name
        if target.is_dir():
            shutil.rmtree(target)
        if run(list(argv)):
            raise UserError(f"step {name} did not succeed: rewardkit {shlex.join(argv)}")

    def step(self, name: str, what: str, work: Callable[[], None]) -> None:
        """Do `work` unless this very step is done; what was done after a step that is not is done again."""
        self.count += 1
        if self.done.get(name, {}).get("what") == what:
            print(f"[{self.count:2}] {name}: done before", file=sys.stderr)
            self.passed.append(name)
            return
        print(f"\n[{self.count:2}] {what}", file=sys.stderr, flush=True)
        began = time.monotonic()
        self.done = {one: self.done[one] for one in self.passed}  # the others came of what is made anew
        work()
        self.passed.append(name)
        self.done[name] = {"what": what, "seconds": round(time.monotonic() - began, 1)}
        write_json(self.path, self.done)

    @property
    def seconds(self) -> float:
        return round(sum(step["seconds"] for step in self.done.values()), 1)
