"""Commands that run one after the other in a folder, each once."""

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from pkgutil import resolve_name

from rewardkit.commands.cli import command_name, run
from rewardkit.commands.table import COMMANDS
from rewardkit.errors import UserError
from rewardkit.io.files import read_object, write_json
from rewardkit.io.lock import NAME as LOCK
from rewardkit.training.once import Once


class Pipeline(Once):
    """Steps of a folder, recorded in its steps.json; most are commands.

    Existing files are never removed or overwritten: begun.json lists the steps that were started here.
    """

    def __init__(self, out: Path) -> None:
        """Raise `UserError` for a folder that contains other files."""
        super().__init__(out / "steps.json")
        self.out = out
        self._begun = out / "begun.json"
        self.begun = dict.fromkeys(self.done, "") | (read_object(self._begun) if self._begun.is_file() else {})
        others = sorted(path.name for path in out.iterdir() if path.name != LOCK) if out.is_dir() else []
        if others and not self._begun.is_file() and not self.path.is_file():
            names = ", ".join(others[:3])
            raise UserError(f"{out} holds other things ({names}); choose a new folder, like --out {out / 'new'}")
        write_json(self._begun, self.begun)

    def command(self, name: str, words: str, *arguments: object) -> None:
        """Run one command of rewardkit, with `--out OUT/NAME` added.

        An incomplete folder of exactly the same command is resumed if the command can; else it is removed first.
        """
        argv = [*words.split(), *map(str, arguments), "--out", str(self.out / name)]
        self.step(name, shlex.join(["rewardkit", *argv]), lambda: self._run(name, argv))

    def _run(self, name: str, argv: Sequence[str]) -> None:
        target, line = self.out / name, shlex.join(argv)
        if target.exists() and name not in self.begun:
            raise UserError(f"{target} was not made by this command; move it, or choose another --out")
        resume = self.begun.get(name) == line and (target / "checkpoints").is_dir() and resumes(argv)
        if target.is_dir() and not resume:
            shutil.rmtree(target)
        self.begun[name] = line
        write_json(self._begun, self.begun)
        if run([*argv, "--resume"] if resume else list(argv)):
            raise UserError(f"step {name} failed: rewardkit {line}")


def resumes(argv: Sequence[str]) -> bool:
    """Whether a command can resume from its checkpoints."""
    return hasattr(resolve_name(COMMANDS[command_name(argv)].options), "resume")
