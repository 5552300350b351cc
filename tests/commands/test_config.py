"""Options from TOML and flags: every type a config holds, both ways, and what a wrong file says."""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pytest

from rewardkit.commands.cli import main
from rewardkit.commands.config import parse
from rewardkit.errors import UserError
from rewardkit.io.toml import to_toml


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
    rewards: tuple[str, ...] = ("ocr",)
    """Several texts."""
    scales: tuple[float, ...] = ()
    """Several numbers."""
    window: tuple[float, float] | None = None
    """Two numbers or none."""
    weights: dict[str, float] = field(default_factory=dict)
    """Numbers by name."""


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
        Toy(
            Path("-odd"), -5, False, '--"quo\\ted" \n\x7f 中文 = #', None, "-x", "b", (), (-1.5, 1e-9, 2.0), (0.0, 1.0)
        ),
        Toy(Path("o"), title="none", limit=0, rewards=("a", "b c", ""), weights={"rm.text": -2.0, "b c": 1.0}),
        Toy(Path("o"), scales=(math.inf, -1e-4), rewards=("--x",), window=(-1.0, 0.5)),
    ],
)
def test_a_written_config_reads_back_the_same(config: Toy, toml: Any) -> None:
    assert read(["--config", toml(to_toml(config))]) == config


def test_flags_override_files_and_later_files_earlier_ones(toml: Any) -> None:
    first = toml("out = 'o'\nsteps = 1\nema = false\nrewards = ['a', 'b']\n[weights]\na = 1\n", "first.toml")
    second = toml("steps = 2\n", "second.toml")
    got = read(["--config", first, f"--config={second}"])
    assert (got.steps, got.ema, got.rewards, got.weights) == (2, False, ("a", "b"), {"a": 1.0})
    got = read(["--no-ema", "--config", toml("out = 'o'\nema = true\nscales = [1]\n")])
    assert (got.ema, got.scales) == (False, (1.0,))
    assert isinstance(got.scales[0], float)
    got = read(["--steps", "3", "--ema", "--rewards", "c", "--weights", "b", "0.1", "--config", first])
    assert (got.steps, got.ema, got.rewards, got.weights) == (3, True, ("c",), {"b": 0.1})


def test_flags_of_every_type() -> None:
    words = ["--out=o", "--limit", "none", "--label", "x y", "--mode", "b", "--scales", "1", "-2.5", "--scales", "inf"]
    words += ["--window", "0", "1", "--weights", "a#b", "2", "c.d", "-1", "--rewards", "--steps", "-3", "--title=-e"]
    config = Toy(Path("o"), -3, title="-e", limit=None, label="x y", mode="b", rewards=(), window=(0.0, 1.0))
    assert read(words) == replace(config, scales=(1.0, -2.5, math.inf), weights={"a#b": 2.0, "c.d": -1.0})


def test_a_repeated_flag_replaces_the_files_list(toml: Any) -> None:
    @dataclass(frozen=True)
    class Entries:
        """A flag that is repeated."""

        entry: tuple[str, ...]
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
        ("steps = 'many'", r"toy\.toml: steps must be an integer; got 'many'"),
        ("steps = true", "steps must be an integer; got True"),
        ("steps = 1.5", r"steps must be an integer; got 1\.5"),
        ("ema = 1", "ema must be true or false; got 1"),
        ("out = 3", r"out must be a path \(a string\); got 3"),
        ("mode = 'c'", "mode must be one of 'a', 'b'; got 'c'"),
        ("rewards = 'ocr'", "rewards must be a list of a string; got 'ocr'"),
        ("scales = [1, 'x']", "scales must be a list of a number"),
        ("limit = 'lots'", 'limit must be an integer or "None"'),
        ("steps = 'none'", "steps must be an integer"),
        ("weights = 3", "weights must be a table"),
        ("window = [1.0]", "window must be a list of a number, a number or"),
        ("[weights]\na = 'x'", "weights must be a table of a number"),
        ("steps = ", "cannot read config file .*toy.toml"),
    ],
)
def test_a_wrong_file_says_where_and_what(text: str, says: str, toml: Any) -> None:
    with pytest.raises(UserError, match=says):
        read(["--config", toml(text), "--out", "o"])


def test_a_missing_file_is_named() -> None:
    with pytest.raises(UserError, match=r"no config file at nowhere\.toml"):
        read(["--config", "nowhere.toml"])
    with pytest.raises(UserError, match="--config: expected one argument"):
        read(["--config"])


@pytest.mark.parametrize(
    ("flag", "near"),
    [("--stepz", "steps"), ("--scalez=1", "scales"), ("--no-emma", "ema"), ("--conifg", "config")],
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


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--steps", "many"], "--steps must be an integer; got 'many'"),
        (["--steps", "1.5"], "--steps must be an integer; got '1.5'"),
        (["--scales", "1", "x"], r"--scales must be a list of a number; got \['1', 'x'\]"),
        (["--weights", "a"], "--weights must be a table of a number .NAME VALUE pairs"),
        (["--mode", "c"], "--mode must be one of 'a', 'b'; got 'c'"),
        (["--window", "1"], "--window: expected 2 arguments"),
        (["--title", "-x"], "--title: expected one argument; .* as --title=VALUE"),
        (["--no-ema=3"], "--no-ema: ignored explicit argument '3'"),
        (["stray"], "unexpected 'stray'; write every value after its option"),
        (["stray", "--stepz"], "unknown option --stepz; did you mean 'steps'"),
        (["-s", "3"], "unknown option --s; "),
    ],
)
def test_a_wrong_flag_says_what_and_how_to_get_help(words: list[str], says: str) -> None:
    with pytest.raises(UserError, match=rf"{says}.* \(see toy --help\)$"):
        read(["--out", "o", *words])


def test_all_that_is_missing_is_named() -> None:
    with pytest.raises(UserError, match=r"^missing --out \(see toy --help\)$"):
        read([])
    with pytest.raises(UserError, match=r"^missing --ink, --out"):
        picture([])


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
