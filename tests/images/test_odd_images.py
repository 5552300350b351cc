"""Odd image files through the real commands: taken as they are meant, or refused by name with exit code 2."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rewardkit.commands.cli import main
from rewardkit.data import PreferenceRecord, write_pairs


def bomb(path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


def cut(path: Path) -> None:
    plain(path)
    path.write_bytes(path.read_bytes()[:-100])


def plain(path: Path) -> None:
    Image.effect_noise((64, 64), 50).convert("RGB").save(path)


def one_pixel(path: Path) -> None:
    Image.new("RGB", (1, 1), (200, 30, 30)).save(path)


def cmyk(path: Path) -> None:
    Image.new("CMYK", (24, 20), (0, 255, 255, 0)).save(path)


def sixteen_bits(path: Path) -> None:
    Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 100).save(path)


Draw = Callable[[Path], None]
FILES: list[tuple[str, Draw, str]] = [
    ("bomb.png", bomb, "pixels"),
    ("cut.jpg", cut, "truncated"),
    ("dot.png", one_pixel, ""),
    ("print.jpg", cmyk, ""),
    ("deep.png", sixteen_bits, ""),
]


@pytest.mark.parametrize(("name", "draw", "refused"), FILES, ids=[name for name, _, _ in FILES])
def test_score_takes_or_names_it(
    name: str, draw: Draw, refused: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(tmp_path / name)
    status = main(["score", "--images", str(tmp_path / name), "--rewards", "colourfulness", "--prompt", "a cat"])
    said = capsys.readouterr()
    assert status == (2 if refused else 0), said.err
    assert refused in said.err
    assert name in (said.err if refused else said.out)


@pytest.mark.parametrize(("name", "draw", "refused"), FILES, ids=[name for name, _, _ in FILES])
def test_train_rm_takes_or_names_it(
    name: str, draw: Draw, refused: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(tmp_path / name)
    plain(tmp_path / "plain.png")
    records = [
        PreferenceRecord(f"a cat {number}", tmp_path / name, tmp_path / "plain.png", {"aesthetic": 1.0})
        for number in range(4)
    ]
    write_pairs(tmp_path / "pairs.jsonl", records)
    flags = ["--encoder", "seedling", "--epochs", "1", "--held-out", "0.5", "--views", "1"]
    status = main(["train-rm", "--data", str(tmp_path / "pairs.jsonl"), "--out", str(tmp_path / "run"), *flags])
    said = capsys.readouterr()
    assert status == (2 if refused else 0), said.err
    assert (tmp_path / "run" / "rm").is_dir() == (not refused)
    if refused:
        assert name in said.err + (tmp_path / "run" / "skipped.json").read_text(encoding="utf-8")
