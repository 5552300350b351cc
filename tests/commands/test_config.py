"""Options from TOML and flags: every type a config holds, both ways, and what a wrong file says."""

import math
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import tyro

from rewardkit.commands.cli import main
from rewardkit.commands.config import parse
from rewardkit.errors import UserError
from rewardkit.io.toml import to_toml


class Colour(Enum):
    """Said by name."""

    red = 1
    blue = 2


@dataclass(frozen=True)
class Optim:
    """How to step."""

    lr: float = 1e-3
    """Learning rate."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Momentum terms."""


@dataclass(frozen=True)
class Toy:
    """One field of every kind."""

    out: Path
    """Where."""
    steps: int = 10
    """How many."""
    ema: bool = True
    """Average or not."""
    title: str = "x"
    """Any text."""
    limit: int | None = 3
    """A number or none."""
    label: str | None = None
    """A text or none."""
    mode: Literal["a", "b"] = "a"
    """One of two."""
    colour: Colour = Colour.red
    """One of an enumeration."""
    rewards: tuple[str, ...] = ("ocr",)
    """Several texts."""
    scales: list[float] = field(default_factory=list)
    """Several numbers."""
    weights: dict[str, float] = field(default_factory=dict)
    """Numbers by name."""
    optim: Optim = field(default_factory=Optim)
    """A config in a config."""


def read(words: list[str]) -> Toy:
    return parse(Toy, words, prog="toy", description="")


@pytest.fixture
def toml(tmp_path: Path) -> Any:
    def write(text: str, name: str = "toy.toml") -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return str(tmp_path / name)

    return write


@pytest.mark.parametrize(
    "config",
    [
        Toy(Path("runs/a b")),
        Toy(Path("-odd"), -5, False, '--"quo\\ted" \n\x7f 中文 = #', None, "-x", "b", Colour.blue, (), [-1.5, 1e-9, 2]),
        Toy(Path("o"), title="none", limit=0, rewards=("a", "b c", ""), weights={"rm.text": -2.0, "b c": 1.0}),
        Toy(Path("o"), scales=[math.inf], optim=Optim(-1e-4, (0.5, 1.0))),
    ],
)
def test_a_written_config_reads_back_the_same(config: Toy, toml: Any) -> None:
    assert read(["--config", toml(to_toml(config))]) == config


def test_flags_override_files_and_later_files_earlier_ones(toml: Any) -> None:
    first = toml("out = 'o'\nsteps = 1\nema = false\nrewards = ['a', 'b']\n[optim]\nlr = 0.5\n", "first.toml")
    second = toml("steps = 2\n", "second.toml")
    got = read(["--config", first, f"--config={second}"])
    assert (got.steps, got.ema, got.rewards, got.optim.lr) == (2, False, ("a", "b"), 0.5)
    got = read(["--no-ema", "--config", toml("out = 'o'\nema = true\n[optim]\nlr = 1\n")])
    assert (got.ema, got.optim.lr) == (False, 1.0)
    got = read(["--steps", "3", "--ema", "--rewards", "c", "--optim.lr=0.1", "--config", first])
    assert (got.steps, got.ema, got.rewards, got.optim.lr) == (3, True, ("c",), 0.1)


def test_a_repeated_flag_replaces_the_files_list(toml: Any) -> None:
    @dataclass(frozen=True)
    class Entries:
        """A flag that is repeated."""

        entry: Annotated[tuple[str, ...], tyro.conf.UseAppendAction]
        """NAME=FOLDER."""

    file = toml("entry = ['a=x', '-b']")
    assert parse(Entries, ["--config", file], prog="t", description="").entry == ("a=x", "-b")
    words = ["--entry", "c=y", "--config", file, "--entry=d=z"]
    assert parse(Entries, words, prog="t", description="").entry == ("c=y", "d=z")


def test_underscores_and_dashes_are_the_same(toml: Any) -> None:
    @dataclass(frozen=True)
    class Dashed:
        """Two words."""

        batch_size: int = 1
        """How many."""

    for key in ("batch_size", "batch-size"):
        assert parse(Dashed, ["--config", toml(f"{key} = 4")], prog="t", description="").batch_size == 4
        assert parse(Dashed, [f"--{key}", "5"], prog="t", description="").batch_size == 5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("stepz = 3", r"toy\.toml: unknown key 'stepz'; did you mean 'steps'"),
        ("[optim]\nlrr = 3", r"unknown key 'optim\.lrr'; did you mean 'lr'"),
        ("steps = 'many'", r"toy\.toml: steps must be an integer; got 'many'"),
        ("steps = true", "steps must be an integer; got True"),
        ("steps = 1.5", r"steps must be an integer; got 1\.5"),
        ("ema = 1", "ema must be true or false; got 1"),
        ("out = 3", r"out must be a path \(a string\); got 3"),
        ("mode = 'c'", "mode must be one of 'a', 'b'; got 'c'"),
        ("colour = 'green'", "colour must be one of 'red', 'blue'"),
        ("rewards = 'ocr'", "rewards must be a list of a string; got 'ocr'"),
        ("scales = [1, 'x']", "scales must be a list of a number"),
        ("limit = 'lots'", 'limit must be an integer or "None"'),
        ("steps = 'none'", "steps must be an integer"),
        ("optim = 3", "optim must be a table"),
        ("[weights]\na = 'x'", "weights must be a table of a number"),
        ("[optim]\nbetas = [1.0]", r"optim\.betas must be a list"),
        ("rewards = ['--x']", "may not start with a dash"),
        ("steps = ", "cannot read config file .*toy.toml"),
    ],
)
def test_a_wrong_file_says_where_and_what(text: str, says: str, toml: Any) -> None:
    with pytest.raises(UserError, match=says):
        read(["--config", toml(text), "--out", "o"])


def test_a_missing_file_is_named() -> None:
    with pytest.raises(UserError, match=r"no config file at nowhere\.toml"):
        read(["--config", "nowhere.toml"])
    with pytest.raises(UserError, match="--config needs a file"):
        read(["--config"])


@pytest.mark.parametrize(
    ("flag", "near"),
    [("--stepz", "steps"), ("--optim.lrr=1", "optim.lr"), ("--no-emma", "ema"), ("--conifg", "config")],
)
def test_an_unknown_flag_names_the_near_one_even_when_another_is_missing(flag: str, near: str) -> None:
    with pytest.raises(UserError, match=f"did you mean '(no-)?{near}'"):
        read([flag])


@pytest.mark.parametrize(
    ("command", "old", "new"),
    [
        ("refl", "sampling-steps", "steps"),
        ("pe sft", "learning-rate", "lr"),
        ("train-rm", "holdout", "held-out"),
        ("train-rm", "warmup", "warmup-share"),
        ("train-rm", "save-every", "save-every-epochs"),
        ("seedling", "base-steps", "base-updates"),
    ],
)
def test_an_old_name_gets_the_new_one(
    command: str, old: str, new: str, toml: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command.split(), f"--{old}", "3"]) == 2
    assert f"unknown option --{old}; --{old} is now --{new}" in capsys.readouterr().err
    key = old.replace("-", "_")
    assert main([*command.split(), "--config", toml(f"{key} = 3")]) == 2
    assert f"unknown key '{key}'; {key} is now {new.replace('-', '_')}" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--out", "o", "--steps", "many"], [], ["--out", "o", "stray"]])
def test_what_tyro_refuses_exits_with_two(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        read(words)
    assert left.value.code == 2
    assert "toy" in capsys.readouterr().err


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How it is drawn."""

    ink: str
    """Colour of the pen."""
    width: int = 2
    """Pixels."""


@dataclass(frozen=True, kw_only=True)
class Saving:
    """Where it goes."""

    out: Path
    """A file."""
    sizes: tuple[int, ...] = ()
    """Of the copies."""


@dataclass(frozen=True, kw_only=True)
class Picture(Saving, Drawing):
    """A config in sections."""


def picture(words: list[str]) -> Picture:
    return parse(Picture, words, prog="toy", description="")


def test_sections_are_headings_and_options_stay_flat(toml: Any, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = Picture(ink="red", width=3, out=Path("o"), sizes=(1, 2))
    assert picture(["--ink", "red", "--width", "3", "--out", "o", "--sizes", "1", "2"]) == wanted
    assert picture(["--config", toml(to_toml(wanted))]) == wanted
    assert picture(["--width=4", "--config", toml(to_toml(wanted))]).width == 4
    with pytest.raises(SystemExit):
        picture(["--help"])
    shown = capsys.readouterr().out
    places = [shown.rindex(words) for words in ("How it is drawn.", "--ink", "Where it goes.", "--sizes")]
    assert places == sorted(places)
    with pytest.raises(UserError, match="did you mean 'width'"):
        picture(["--widht", "3"])


@dataclass(frozen=True)
class Wordy:
    """An option that takes two lines to explain."""

    steps: int = 10
    """Number of steps, of
    which the first is free."""


def test_help_does_not_break_lines_where_the_source_does(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(Wordy, ["--help"], prog="toy", description="")
    assert "Number of steps, of which the first is free." in capsys.readouterr().out
