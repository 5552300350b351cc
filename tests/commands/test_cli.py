"""The command: fast help, suggestions, exit codes, one line for what the user can mend."""

import dataclasses
import errno
import inspect
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from pkgutil import resolve_name
from typing import get_type_hints

import pytest

from rewardkit.commands import cli
from rewardkit.commands.cli import main
from rewardkit.commands.config import parse
from rewardkit.commands.option_groups import explanations, hints, option_groups
from rewardkit.commands.parser import flag
from rewardkit.commands.table import COMMANDS, Command
from rewardkit.errors import UserError

ROOT = Path(__file__).resolve().parents[2]

TOY = '''
import os, sys, time
from dataclasses import dataclass
from rewardkit.errors import UserError

@dataclass(frozen=True)
class ToyConfig:
    """Do something small, to see what the command makes of it."""
    what: str = "print"
    """What to do."""
    steps: int = 1
    """How many."""

def toy(config: ToyConfig) -> None:
    match config.what:
        case "print": print("steps", config.steps)
        case "rows": print("row\\n" * 100_000); print("more")
        case "pipe": raise BrokenPipeError("another pipe")
        case "user": raise UserError("the file is odd;\\n mend it")
        case "missing": open("/no/such/file")
        case "full": raise OSError(28, os.strerror(28), "big.bin")
        case "bug": raise OSError(5, "input/output error")
        case "wait":
            print("waiting", flush=True)
            time.sleep(60)
'''

TOY_COMMAND = Command("toy_command:toy", "toy_command:ToyConfig", "a toy", "rewardkit toy --steps 3")


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a command to the table."""
    (tmp_path / "toy_command.py").write_text(TOY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(COMMANDS, "toy", TOY_COMMAND)


def python(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("words", [["--help"], ["pe", "--help"], ["--version"], ["reflx"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys; from rewardkit.commands.cli import main; main(sys.argv[1:])\n"
        "heavy = {'torch', 'numpy', 'PIL', 'argparse', 'shtab', 'diffusers', 'rm', 'refl', 'pe'} & set(sys.modules)\n"
        "sys.exit(','.join(sorted(heavy)) or 0)"
    )
    ended = python(code, *words)
    assert ended.returncode == 0, ended.stderr


def test_importing_the_package_needs_no_torch() -> None:
    assert python("import sys, rewardkit; dir(rewardkit); sys.exit('torch' in sys.modules)").returncode == 0


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert name in shown
        assert command.about in shown


def test_a_group_lists_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pe", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "pe simpo" in shown
    assert "train-rm" not in shown


@pytest.mark.parametrize(
    ("words", "near"),
    [(["reflx"], "refl"), (["train_rm"], "train-rm"), (["pe", "sfft"], "pe sft"), (["leader-board"], "leaderboard")],
)
def test_a_misspelt_command_names_the_near_one(words: list[str], near: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert f"did you mean {near!r}" in said
    assert said.endswith("(see rewardkit --help)\n")
    assert said.count("\n") == 1


@pytest.mark.usefixtures("toy")
class TestToy:
    """A command of our own, run through the table."""

    def test_help_teaches(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["toy", "--help"]) == 0
        shown = capsys.readouterr().out
        for part in ("Do something small", "How many.", "rewardkit toy --steps 3", "--config FILE.toml"):
            assert part in shown

    def test_options_come_from_file_then_line(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "a.toml").write_text("steps = 7\n")
        assert main(["toy", "--config", str(tmp_path / "a.toml")]) == 0
        assert main(["toy", "--steps", "8", "--config", str(tmp_path / "a.toml")]) == 0
        assert capsys.readouterr().out == "steps 7\nsteps 8\n"

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (["--what", "user"], "rewardkit: the file is odd; mend it\n"),
            (["--what", "missing"], "rewardkit: no such file or directory: /no/such/file; check the path\n"),
            (["--what", "full"], "rewardkit: no space left on the disk for big.bin; free some and resume\n"),
            (["--stepz", "3"], "rewardkit: unknown option --stepz; did you mean 'steps'? (see rewardkit toy --help)\n"),
        ],
    )
    def test_what_the_user_can_mend_is_one_line_and_two(
        self, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["toy", *words]) == 2
        assert capsys.readouterr().err == says

    def test_a_bug_keeps_its_traceback(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(OSError, match="input/output"):
            main(["toy", "--what", "bug"])
        monkeypatch.setenv("REWARDKIT_TRACEBACK", "1")
        with pytest.raises(UserError):
            main(["toy", "--what", "user"])

    def start(self, tmp_path: Path, *words: str) -> subprocess.Popen[str]:
        code = (  # SIGINT is set because a job started with & is born ignoring it
            "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            f"sys.path.insert(0, {str(tmp_path)!r})\nfrom rewardkit.commands import cli\n"
            f"from rewardkit.commands.table import Command\ncli.COMMANDS['toy'] = {TOY_COMMAND!r}\ncli.entry()"
        )
        return subprocess.Popen(
            [sys.executable, "-c", code, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    @pytest.mark.parametrize("words", [["toy", "--help"], ["--help"], ["toy", "--what", "rows"], ["toy"]])
    def test_a_closed_pipe_ends_it_quietly(self, words: list[str], tmp_path: Path) -> None:
        with self.start(tmp_path, *words) as child:
            assert child.stdout is not None
            child.stdout.close()  # before it has imported anything to print with
            # argparse swallows the error of a --help that Python does not buffer
            assert child.wait(timeout=60) in ((0, 141) if words == ["toy", "--help"] else (141,))
            assert child.stderr is not None
            assert child.stderr.read() == ""

    def test_a_pipe_of_its_own_that_breaks_is_a_bug(self, tmp_path: Path) -> None:
        with self.start(tmp_path, "toy", "--what", "pipe") as child:
            assert "BrokenPipeError: another pipe" in child.communicate(timeout=60)[1]
        assert child.returncode == 1

    def test_ctrl_c_ends_with_130_and_no_traceback(self, tmp_path: Path) -> None:
        with self.start(tmp_path, "toy", "--what", "wait") as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "waiting\n"
            time.sleep(0.1)
            child.send_signal(signal.SIGINT)
            _, said = child.communicate(timeout=30)
        assert child.returncode == 130
        assert said == "rewardkit: interrupted\n"


def test_one_line_raises_what_is_not_the_users() -> None:
    error = OSError(errno.EIO, os.strerror(errno.EIO), "disk")
    with pytest.raises(OSError, match="disk"):
        cli.one_line(error)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_exists_and_its_example_parses(name: str) -> None:
    command = COMMANDS[name]
    function, kind = resolve_name(command.function), resolve_name(command.options)
    assert get_type_hints(function) == {"config": kind, "return": type(None)}
    assert kind.__dataclass_params__.frozen
    for part in option_groups(kind).values() or [kind]:
        assert 1 <= len(hints(part)) <= 30  # more than a page of --help is more than anybody reads
    first, *words = shlex.split(command.example)
    assert [first, *words[: len(name.split())]] == ["rewardkit", *name.split()]
    assert isinstance(parse(kind, words[len(name.split()) :], prog="rewardkit", description=""), kind)


def squeezed(text: str) -> str:
    """Without white space: --help breaks lines where it likes."""
    return "".join(text.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_shows_and_explains_every_option(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert COMMANDS[name].example.split("--")[0].strip() in shown
    kind = resolve_name(COMMANDS[name].options)
    assert inspect.getdoc(kind).split(".")[0] in " ".join(shown.split())
    for name in hints(kind):
        assert flag(name) in shown
    for part in option_groups(kind).values() or [kind]:
        for name in hints(part):
            explanation = explanations(part).get(name)
            assert explanation, f"no docstring under {name}"
            assert squeezed(explanation) in squeezed(shown)


def test_no_help_and_no_misspelt_option_imports_anything_heavy() -> None:
    """In one process: a module imported by any command stays in `sys.modules`."""
    code = (
        "import sys; from rewardkit.commands.cli import main; from rewardkit.commands.table import COMMANDS\n"
        "for name in COMMANDS: assert main([*name.split(), '--help']) == 0\n"
        "for name in COMMANDS: assert main([*name.split(), '--no-such-option']) == 2\n"
        "for name in COMMANDS: assert main([*name.split(), 'stray', '--seed', 'many']) == 2\n"
        "assert main(['--print-completion', 'bash']) == 0\n"
        "sys.exit(','.join({'torch', 'numpy', 'PIL', 'diffusers', 'transformers', 'pyarrow'} & set(sys.modules)) or 0)"
    )
    ended = python(code)
    assert ended.returncode == 0, ended.stderr


def test_bash_completes_commands_options_and_choices(tmp_path: Path) -> None:
    script = tmp_path / "complete.bash"
    script.write_text(python("from rewardkit.commands.cli import entry; entry()", "--print-completion", "bash").stdout)

    def completed(*words: str) -> list[str]:
        line = f"COMP_WORDS=({shlex.join(['rewardkit', *words])}); COMP_CWORD={len(words)}; _shtab_rewardkit"
        code = f'source {script}; {line}; echo "${{COMPREPLY[@]}}"'
        return subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert completed("ref") == ["refl"]
    assert completed("pe", "s") == ["sft", "simpo"]
    assert completed("refl", "--objec") == ["--objective"]
    assert completed("refl", "--objective", "dr") == ["draft-k", "draft-lv", "drtune"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["refll"], "no command 'refll'; did you mean 'refl'? (see rewardkit --help)"),
        (["pe"], "which pe command? pe pairs, pe rewrite, pe sft, pe simpo (see rewardkit pe --help)"),
        (["refl", "--lrr", "1"], "unknown option --lrr; did you mean 'lr'? (see rewardkit refl --help)"),
        (["refl", "--qqq=1"], "unknown option --qqq; no option has a similar name (see rewardkit refl --help)"),
        (["pe", "sft"], "missing --rows (see rewardkit pe sft --help)"),
        (["pe", "sft", "--rows"], "--rows: expected one argument; write a value that begins with a dash as"),
        (
            ["pe", "sft", "--rows", "r", "--lr", "high"],
            "--lr must be a number; got 'high' (see rewardkit pe sft --help)",
        ),
        (["pe", "sft", "--rows", "r", "--task", "x"], "--task must be one of 'plain', 'expand', 'shorten' or"),
        (["plan", "--config", "bad.toml"], "bad.toml: unknown key 'stepz'; did you mean 'steps'? (see rewardkit plan"),
    ],
)
def test_a_usage_error_is_one_line_on_stderr(
    words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.toml").write_text("stepz = 3\n")
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"rewardkit: {says}")
    assert err.index("\n") == len(err) - 1


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in ("zsh", "fish"):
        assert main(["--print-completion", shell]) == 0
        assert "drtune" in capsys.readouterr().out
    for words in (["--print-completion"], ["--print-completion", "csh"]):
        assert main(words) == 2
        assert "known: bash, zsh" in capsys.readouterr().err


LOADS = {"base", "encoder", "judges", "labellers", "model", "models", "rewards"}
"""Options that name a base, an encoder or rewards."""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_loads_a_model_lets_its_precision_be_chosen(name: str) -> None:
    kind = resolve_name(COMMANDS[name].options)
    parts = [*option_groups(kind).values()] or [kind]
    defaults = {field.name: field.default for part in parts for field in dataclasses.fields(part)}
    if "device" in defaults and LOADS & defaults.keys() and name not in ("plan", "pairs check"):
        assert defaults["device"] == "auto"
        assert defaults["dtype"] == "auto"
