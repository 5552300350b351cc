"""Images: what a user's folder may hold is read right or refused by name; conversions lose nothing they should keep."""

import base64
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rewardkit.errors import UserError
from rewardkit.images import data_uri, grid, list_images, load_image, resize, save_image, to_pil, to_tensor

RED = (255, 0, 0)


def noise(height: int = 16, width: int = 16, count: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 3, height, width, generator=generator)


def test_eight_bit_values_survive_the_round_trip(tmp_path: Path) -> None:
    image = torch.arange(256).div(255).reshape(1, 16, 16).expand(3, -1, -1)
    save_image(image, tmp_path / "a.png")
    torch.testing.assert_close(load_image(tmp_path / "a.png"), image, rtol=0, atol=1e-7)


def test_to_pil_clamps_and_refuses_nan() -> None:
    assert to_pil(torch.full((3, 1, 1), 1.7)).getpixel((0, 0)) == (255, 255, 255)
    assert to_pil(torch.full((3, 1, 1), -0.2)).getpixel((0, 0)) == (0, 0, 0)
    with pytest.raises(ValueError, match="NaN"):
        to_pil(torch.full((3, 1, 1), torch.nan))


def test_a_truncated_jpeg_is_refused_by_name(tmp_path: Path) -> None:
    whole = io.BytesIO()
    to_pil(noise(64, 64)[0]).save(whole, "JPEG")
    path = tmp_path / "cut.jpg"
    path.write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    with pytest.raises(UserError, match=r"cut\.jpg.*truncated"):
        load_image(path)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("side", [11_000, 30_000])
def test_a_bomb_is_refused_before_it_unpacks(side: int, tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    with pytest.raises(UserError, match=r"bomb\.png.*pixels"):
        load_image(path)


@pytest.mark.parametrize(("name", "data"), [("a.png", b""), ("b.jpg", b"hello"), ("c.png", b"\x89PNG\r\n\x1a\n\0\0")])
def test_what_is_no_image_is_refused_by_name(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=name):
        load_image(tmp_path / name)


def test_a_png_with_a_flipped_byte_is_refused(tmp_path: Path) -> None:
    save_image(noise(64, 64)[0], tmp_path / "a.png")
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(UserError, match=r"a\.png"):
        load_image(tmp_path / "a.png")


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no image at .*gone\.png"):
        load_image(tmp_path / "gone.png")


def test_one_pixel(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), RED).save(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png").flatten().tolist() == [1, 0, 0]


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    torch.testing.assert_close(
        load_image(tmp_path / "a.jpg").mean((1, 2)), torch.tensor([1.0, 0, 0]), rtol=0, atol=0.02
    )


def test_sixteen_bit_grey_keeps_its_depth(tmp_path: Path) -> None:
    values = np.array([[0, 257, 1000, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    image = load_image(tmp_path / "a.png")
    assert image.shape == (3, 1, 4)
    torch.testing.assert_close(image[1, 0], torch.tensor([0, 257, 1000, 65535]) / 65535)


def test_float_images_pass_in_range_and_are_refused_outside(tmp_path: Path) -> None:
    assert to_tensor(Image.fromarray(np.full((2, 2), 0.25, np.float32))).unique().item() == 0.25
    Image.fromarray(np.full((2, 2), 40.0, np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(UserError, match=r"a\.tiff.*range"):
        load_image(tmp_path / "a.tiff")


def test_transparency_lies_over_white(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 2), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    Image.new("RGBA", (2, 2), (0, 0, 0, 51)).save(tmp_path / "faint.png")
    Image.new("LA", (2, 2), (0, 0)).save(tmp_path / "grey.png")
    assert load_image(tmp_path / "clear.png").unique().item() == 1
    assert load_image(tmp_path / "faint.png").unique().item() == pytest.approx(0.8)
    assert load_image(tmp_path / "grey.png").unique().item() == 1


def test_a_palette_with_a_clear_colour(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putdata([0, 1])
    image.save(tmp_path / "a.png", transparency=1)
    assert load_image(tmp_path / "a.png").permute(1, 2, 0).tolist() == [[[1, 0, 0], [1, 1, 1]]]


def test_the_camera_says_which_side_is_up(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4), RED).save(tmp_path / "a.jpg", exif=exif)
    assert load_image(tmp_path / "a.jpg").shape == (3, 8, 4)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_save_writes_the_format_of_the_name(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"a{suffix}"
    save_image(noise()[0], path)
    with Image.open(path) as image:
        assert suffix in {".png": ".png", ".jpeg": ".jpg", ".webp": ".webp"}[f".{image.format}".lower()]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_save_refuses_an_unknown_ending(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'a\.xyz'"):
        save_image(noise()[0], tmp_path / "a.xyz")


@pytest.mark.parametrize("format", ["webp", "png"])
def test_a_data_uri_holds_the_image(format: str) -> None:
    head, _, body = data_uri(noise()[0], format).partition(",")  # type: ignore[arg-type]
    assert head == f"data:image/{format};base64"
    image = to_tensor(Image.open(io.BytesIO(base64.b64decode(body))))
    assert image.shape == (3, 16, 16)
    if format == "png":
        torch.testing.assert_close(image, noise()[0], rtol=0, atol=0.5 / 255 + 1e-6)


def test_a_grid_puts_each_image_in_its_place() -> None:
    images = torch.stack([torch.full((3, 2, 3), value) for value in (0.1, 0.2, 0.3)])
    sheet = grid(images, 2, gap=1)
    assert sheet.shape == (3, 5, 7)
    assert sheet[0, 0].tolist() == pytest.approx([0.1, 0.1, 0.1, 1, 0.2, 0.2, 0.2])
    assert sheet[0, 3].tolist() == pytest.approx([0.3, 0.3, 0.3, 1, 1, 1, 1])
    assert grid(images[:1], 8).shape == (3, 2, 3)


def test_resize_keeps_flat_colour_range_shape_and_gradient() -> None:
    flat = torch.full((1, 3, 8, 12), 0.4)
    torch.testing.assert_close(resize(flat, (5, 7)), torch.full((1, 3, 5, 7), 0.4))
    assert resize(flat, 4).shape == (1, 3, 4, 6)
    sharp = (noise(32, 32) > 0.5).float()
    small = resize(sharp, 48)
    assert 0 <= small.min() <= small.max() <= 1
    images = noise(8, 8).requires_grad_()
    resize(images, 4).sum().backward()
    assert images.grad is not None
    assert images.grad.sum().item() == pytest.approx(48, rel=1e-3)


def test_images_are_listed_in_counting_order(tmp_path: Path) -> None:
    for name in ("10.png", "2.png", "a.JPG", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert [path.name for path in list_images(tmp_path)] == ["2.png", "10.png", "a.JPG"]


def test_a_folder_without_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no images in"):
        list_images(tmp_path)
    with pytest.raises(UserError, match="no folder at"):
        list_images(tmp_path / "gone")
