"""Reading text, its order, and the distances on it against closed forms."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from rewardkit.errors import UserError
from rewardkit.ocr import Engine, OcrReward, accuracy, edit_distance, hit_rate, normalise, reading_order, unreadable
from rewardkit.posters.fonts import latin_font, load_font


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(threads=1)


def written(lines: list[str], size: int, pixels: int) -> torch.Tensor:
    image = Image.new("RGB", (size, size), "white")
    font = load_font(latin_font(), pixels)
    for row, line in enumerate(lines):
        place = (size / 2, size * (row + 1) / (len(lines) + 1))
        ImageDraw.Draw(image).text(place, line, fill="black", font=font, anchor="mm")
    return torch.tensor(np.array(image)).permute(2, 0, 1) / 255


def brute_force(first: str, second: str) -> int:
    if not first or not second:
        return len(first) + len(second)
    swap = brute_force(first[1:], second[1:]) + (first[0] != second[0])
    return min(swap, brute_force(first[1:], second) + 1, brute_force(first, second[1:]) + 1)


def test_edit_distance_against_brute_force() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(60):
        lengths = torch.randint(0, 6, (2,), generator=generator).tolist()
        first, second = ("".join("abc"[i] for i in torch.randint(3, (n,), generator=generator)) for n in lengths)
        assert edit_distance(first, second) == brute_force(first, second), (first, second)


@pytest.mark.parametrize(
    ("read", "wanted", "ra", "hit"),
    [
        ("SALE", "SALE", 1.0, 1.0),
        ("sa le!", "SALE", 1.0, 1.0),
        ("●SALE", "SALE", 1.0, 1.0),
        ("", "SALE", 0.0, 0.0),
        ("★", "SALE", 0.0, 0.0),
        ("SAL", "SALE", 0.75, 0.75),
        ("ELAS", "SALE", 0.0, 1.0),
        ("SSALE", "SALE", 0.75, 1.0),
        ("SALE SALE SALE", "SALE", -1.0, 1.0),
        ("春", "春天", 0.5, 0.5),
        ("ＳＡＬＥ", "SALE", 1.0, 1.0),
        ("+", "+", 1.0, 1.0),
    ],
)
def test_accuracy_and_hit_rate(read: str, wanted: str, ra: float, hit: float) -> None:
    assert accuracy(read, wanted) == pytest.approx(ra)
    assert hit_rate(read, wanted) == pytest.approx(hit)


def test_nothing_wanted_is_an_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        accuracy("SALE", " ")


def test_normalise_keeps_letters_marks_and_digits() -> None:
    assert normalise(" Café №5, 50% OFF!") == "caféno550off"


def test_reading_order_joins_uneven_lines() -> None:
    def box(x: float, y: float, height: float = 20) -> list[list[float]]:
        return [[x, y], [x + 30, y], [x + 30, y + height], [x, y + height]]

    boxes = np.array([box(60, 104), box(50, 6), box(5, 0), box(0, 100), box(0, 50)], dtype=np.float32)
    assert reading_order(boxes) == [2, 1, 4, 3, 0]


def test_small_and_large_images_are_read(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    poster = written(["JAZZ"], 64, 16)
    photo = written(["GRAND", "OPENING", "42"], 320, 40)
    assert engine.read_all([poster, photo]) == ["JAZZ", "GRAND OPENING 42"]
    assert not caplog.records


def test_blank_images_read_as_nothing(engine: Engine) -> None:
    assert engine.read_all(torch.stack([torch.zeros(3, 64, 64), torch.ones(3, 64, 64)])) == ["", ""]
    assert engine.read(torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))) == ""


def test_reward_reads_scores_and_gates(engine: Engine) -> None:
    image = written(["SALE"], 64, 16)
    prompts = ['a sign "SALE"', 'a sign "SALT"', 'a sign "MOON"', "a sign"]
    scores = OcrReward(engine).score(image.expand(4, -1, -1, -1), prompts)
    assert scores.tolist() == pytest.approx([1.0, 0.75, 0.0, 0.0])
    assert not scores.requires_grad


@pytest.mark.parametrize(
    ("text", "script"), [("봄날", "HANGUL"), ("Време", "CYRILLIC"), ("خوبه", "ARABIC"), ("Ωραίος", "GREEK")]
)
def test_unknown_scripts_are_refused(engine: Engine, text: str, script: str) -> None:
    assert unreadable(text) == [script]
    with pytest.raises(UserError, match="not measurable"):
        OcrReward(engine).score(torch.ones(1, 3, 64, 64), [f'a sign "{text}"'])


def test_known_scripts_are_measurable() -> None:
    assert unreadable("Café 春节 ひらカタ 42!") == []


def test_threads_keep_the_order_of_the_images(engine: Engine) -> None:
    """Several engines side by side read what one reads, image by image."""
    images = torch.stack([written([word], 64, 16) for word in ("SALE", "OPEN", "JAZZ", "MOON", "TEA")])
    assert Engine(threads=2).read_all(images) == engine.read_all(images)
