"""Commands run one after the other in a folder, each once."""

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from rewardkit.commands.cli import run
from rewardkit.errors import UserError
from rewardkit.training.once import Once


class Pipeline(Once):
    """Steps of a folder, noted in its steps.json; most are commands."""

    def __init__(self, out: Path) -> None:
        super().__init__(out / "steps.json")
        self.out = out
        out.mkdir(parents=True, exist_ok=True)

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
