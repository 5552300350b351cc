"""Image files made to start programs, to fill the memory or to wait for ever: one line each, in moments."""

import os
import struct
import zlib
from pathlib import Path

import pytest
import torch
from PIL import Image

from rewardkit.errors import UserError
from rewardkit.images import load_bytes, load_image
from rewardkit.images.files import FORMATS, image_size, list_images
from rewardkit.images.preprocess import Preprocess


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def webp(kind: bytes, rest: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 200) + b"WEBP" + kind + struct.pack("<I", 10) + rest + bytes(200)


SIDE = (16383 - 1).to_bytes(3, "little")
HUGE = {
    "strip.png": png(100_000_000, 1),
    "square.png": png(20_000, 20_000),
    "canvas.webp": webp(b"VP8X", bytes(4) + SIDE + SIDE),
    "lossless.webp": webp(b"VP8L", b"\x2f" + ((16382 << 14) | 16382).to_bytes(4, "little")),
    "lossy.webp": webp(b"VP8 ", bytes(6) + struct.pack("<HH", 16383, 16383)),
}


@pytest.mark.parametrize("name", HUGE)
def test_a_few_bytes_that_say_they_are_huge_are_refused_unopened(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(HUGE[name])
    with pytest.raises(UserError, match=f"cannot read image .*{name}: .* pixels"):
        load_image(path)
    assert len(path.read_bytes()) < 300


@pytest.mark.parametrize("name", ["drawing.png", "drawing.jpg", "drawing.eps"])
def test_no_file_starts_ghostscript(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow runs `gs` for an EPS, whatever the file is called; here a program of that name leaves a mark."""
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\necho ran > {tmp_path / 'ran'}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    path = tmp_path / name
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(UserError, match="not an image file"):
        load_image(path)
    assert not (tmp_path / "ran").exists()


def test_what_is_no_regular_file_is_no_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "nothing.png").symlink_to(tmp_path / "gone")
    for name in ("pipe.png", "zero.png", "nothing.png"):
        with pytest.raises(UserError, match=f"no image at .*{name}"):
            load_image(tmp_path / name)


def test_hidden_files_are_passed_over(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "1.png")
    (tmp_path / "._1.png").write_bytes(b"\x00\x05\x16\x07")
    (tmp_path / ".2.png").write_bytes(b"")
    assert [path.name for path in list_images(tmp_path)] == ["1.png"]


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in FORMATS
        if kind
        in ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "JPEG2000", "PPM", "TGA", "QOI", "PCX", "SGI", "DDS")
    ],
)
def test_every_raster_is_read(kind: str, tmp_path: Path) -> None:
    for suffix in FORMATS[kind][:1]:
        path = tmp_path / f"red{suffix}"
        Image.new("RGB", (16, 12), (255, 0, 0)).save(path, format=kind)
        assert load_bytes(path).float().mean((1, 2)).sub(torch.tensor([255.0, 0, 0])).abs().max() < 12
        assert image_size(path) == (16, 12)
        assert list_images(tmp_path) == [path]


def test_a_simple_webp_says_its_size(tmp_path: Path) -> None:
    for name, lossless in (("a.webp", False), ("b.webp", True)):
        Image.effect_noise((37, 21), 9).convert("RGB").save(tmp_path / name, lossless=lossless)
        assert load_image(tmp_path / name).shape == (3, 21, 37)


@pytest.mark.parametrize("shape", [(1, 20_000), (20_000, 1), (3, 9_000)])
def test_a_strip_is_framed_in_little_memory_as_its_centre_would_be(shape: tuple[int, int]) -> None:
    strip = torch.rand(1, 3, *shape, generator=torch.Generator().manual_seed(0))
    framed = Preprocess((24, 24)).frame(strip)
    assert framed.shape == (1, 3, 24, 24)
    short, long = min(shape), max(shape)
    middle = strip.narrow(2 if shape[0] == long else 3, (long - 2 * short * 32) // 2, 2 * short * 32)
    torch.testing.assert_close(framed, Preprocess((24, 24)).frame(middle), atol=0.2, rtol=0)
