"""Devices, seeds and outputs are checked for every command, before it loads or writes anything."""

import io
import os
import stat
from pathlib import Path

import pytest
import torch

from rewardkit.commands.checks import EITHER, FILES, check_out
from rewardkit.commands.cli import main
from rewardkit.commands.table import COMMANDS
from rewardkit.errors import UserError

FOLDERS = [name for name in COMMANDS if name not in (*FILES, *EITHER)]


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@pytest.mark.parametrize("device", ["cuda", "gpu", "cuda:3", "meta"])
@pytest.mark.parametrize(
    "words",
    [
        ["generate", "--prompt", "red", "--out", "{out}"],
        ["score", "--images", "{here}", "--rewards", "colourfulness"],
        ["train-rm", "--data", "none.jsonl", "--out", "{out}"],
        ["refl", "--prompts", "none.txt", "--rewards", "colourfulness", "--out", "{out}"],
        ["pe", "rewrite", "--prompt", "red"],
        ["leaderboard", "--entry", "a=none", "--out", "{out}"],
    ],
    ids=lambda words: words[0] if isinstance(words, list) else None,
)
def test_a_device_that_is_not_there_is_one_line_before_anything(
    words: list[str], device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spelled = [word.format(out=tmp_path / "out", here=tmp_path) for word in words]
    assert main([*spelled, "--device", device]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "device" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("seed", ["-1", "4294967296"])
def test_a_seed_outside_32_bits(seed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--prompt", "red", "--out", str(tmp_path / "out"), "--seed", seed]) == 2
    assert "--seed is a whole number from 0 to 4294967295" in capsys.readouterr().err


@pytest.mark.parametrize("name", FOLDERS)
def test_a_file_where_a_folder_is_written(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--out is a file"):
        check_out(name, tmp_path / "file")
    with pytest.raises(UserError, match="file is a file"):
        check_out(name, tmp_path / "file" / "inside")
    check_out(name, tmp_path)
    check_out(name, tmp_path / "new" / "folder")


@pytest.mark.parametrize("name", FILES)
def test_a_folder_where_a_file_is_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--out is a folder"):
        check_out(name, tmp_path)
    check_out(name, tmp_path / "new.json")


def test_names_that_are_too_long(tmp_path: Path) -> None:
    for out in (tmp_path / ("x" * 300), tmp_path / "new" / ("ö" * 200)):
        with pytest.raises(UserError, match=r"(too long|longer than 255 bytes)"):
            check_out("refl", out)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_the_right_to_write(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(UserError, match="no permission to write"):
        check_out("refl", tmp_path / "new")


def test_a_terminal_of_another_encoding_shows_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    from rewardkit.commands import cli

    shown = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr("sys.stdout", shown)
    monkeypatch.setattr("sys.argv", ["rewardkit", "--version"])
    with pytest.raises(SystemExit):
        cli.entry()
    print("一只红色的猫", file=shown)
    shown.flush()
    assert "??????" in shown.buffer.getvalue().decode("cp1252")  # type: ignore[attr-defined]
