"""Reading text, its order, and the distances on it against closed forms."""

import logging
from itertools import permutations

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from rewardkit.errors import UserError
from rewardkit.ocr import Engine, OcrReward, accuracy, edit_distance, hit_rate, normalise, reading_order, unreadable
from rewardkit.ocr.engine import parts
from rewardkit.ocr.several import accuracy_of
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


COLUMNS = [["FRESH", "HOT"], ["BREAD", "COFFEE"]]
MENU = ["FRESH BREAD", "HOT COFFEE"]


@pytest.mark.parametrize(
    ("lines", "wanted", "edits", "size"),
    [
        (COLUMNS, MENU, 0, 19),
        ([["FRESH HOT"], ["BREAD COFFEE"]], MENU, 0, 19),
        ([["HOT COFFEE"], ["FRESH BREAD"]], MENU, 0, 19),
        ([["OPEN TODAY", "!"], *COLUMNS], MENU, 0, 19),
        ([["FRESH HOT BREAD COFFEE"]], MENU, 6, 19),  # words of one line are not skipped: 3 in BREAD's, 3 in COFFEE's
        ([["FRESH", "HOT"], ["BRAD", "COFEE"]], MENU, 2, 19),
        ([["BREAD", "COFFEE"]], MENU, 8, 19),
        ([["SALE"]], ["SALE", "SALE"], 4, 8),
        ([["SALE"], ["SALE"]], ["SALE", "SALE"], 0, 8),
        ([["SALE 50"], ["SALE"]], ["SALE", "SALE 50"], 0, 10),
        ([["SALE"], ["SALE 50"]], ["SALE", "SALE 50"], 0, 10),
        ([["春节快乐新年"]], ["新年", "春节快乐"], 0, 6),
        ([["+"], ["ab"]], ["AB", "+"], 0, 3),
        ([["Ｓale!"], ["50 %"]], ["50%", "sale"], 0, 6),
        ([["xyz"]], MENU, 19, 19),
        ([], MENU, 19, 19),
    ],
)
def test_several_texts_are_looked_for_each_by_itself(
    lines: list[list[str]], wanted: list[str], edits: int, size: int
) -> None:
    for order in permutations(wanted):
        assert accuracy_of(lines, order) == pytest.approx(1 - edits / size)


def test_several_texts_in_single_words_against_all_disjoint_runs() -> None:
    """In one word a run is a substring; all choices of substrings that do not overlap, tried one by one."""
    generator = torch.Generator().manual_seed(0)

    def fewest(word: str, texts: list[str]) -> int:
        if not texts:
            return 0
        runs = [(a, b) for a in range(len(word)) for b in range(a + 1, len(word) + 1) if "|" not in word[a:b]]
        rest = [
            brute_force(word[a:b], texts[0]) + fewest(word[:a] + "|" * (b - a) + word[b:], texts[1:]) for a, b in runs
        ]
        return min([len(texts[0]) + fewest(word, texts[1:]), *rest])

    for _ in range(40):
        lengths = torch.randint(1, 5, (3,), generator=generator).tolist()
        word, *texts = ("".join("abc"[i] for i in torch.randint(3, (n,), generator=generator)) for n in lengths)
        found = (1 - accuracy_of([[word]], texts)) * sum(map(len, texts))
        assert found == pytest.approx(fewest(word, texts)), (word, texts)


def test_a_single_text_is_compared_with_all_that_was_read() -> None:
    generator = torch.Generator().manual_seed(1)
    for _ in range(100):
        lengths = torch.randint(0, 7, (3,), generator=generator).tolist()
        first, second, wanted = (
            "".join("aB1"[i] for i in torch.randint(3, (n,), generator=generator)) for n in lengths
        )
        if wanted:
            expected = 1 - brute_force((first + second).lower(), wanted.lower()) / len(wanted)
            assert accuracy_of([[first], [second]], [wanted]) == expected


def test_many_and_long_texts_end_soon() -> None:
    lines = [["abc " * 10] for _ in range(5)]
    assert accuracy_of(lines, ["ab"] * 50_000) < 1
    assert accuracy_of(lines, ["ab" * 50_000, "abc"]) < 1


def test_reward_finds_texts_in_columns_and_in_another_order(engine: Engine) -> None:
    image = Image.new("RGB", (512, 256), "white")
    for place, word in {(20, 60): "FRESH", (20, 150): "BREAD", (280, 60): "HOT", (280, 150): "COFFEE"}.items():
        ImageDraw.Draw(image).text(place, word, fill="black", font=load_font(latin_font(), 48))
    columns = torch.tensor(np.array(image)).permute(2, 0, 1) / 255
    prompts = ['a menu, "FRESH BREAD" and "HOT COFFEE"', '"HOT COFFEE" left of "FRESH BREAD"', '"HOT TEA" and "BREAD"']
    scores = OcrReward(engine).score(columns.expand(3, -1, -1, -1), prompts)
    assert scores.tolist() == pytest.approx([1.0, 1.0, 1 - 3 / 11])  # no TEA beside BREAD, though its EA is there


@pytest.mark.parametrize("shape", [(8, 3000), (3000, 8), (1, 9000), (9000, 1), (40, 4000), (2, 300), (1, 1)])
def test_images_of_any_shape_are_read(engine: Engine, shape: tuple[int, int]) -> None:
    assert engine.read(torch.ones(3, *shape)) == ""


def test_a_long_image_is_read_in_parts_that_cut_no_word(engine: Engine) -> None:
    words = ["ALPHA", "BRAVO", "DELTA", "ECHO", "GOLF", "HOTEL", "INDIA", "JULIET"]
    wide = torch.cat([written([word], 640, 60)[:, 290:350] for word in words], dim=2)
    assert engine.read(wide) == " ".join(words)
    pieces = parts(np.ascontiguousarray((wide * 255).byte().permute(1, 2, 0).numpy()))
    assert sum(piece.shape[1] for piece, _ in pieces) == wide.shape[2]
    boxes = engine.boxes(wide)
    assert len(boxes) == len(words)
    assert (boxes[:, :, 0].mean(1) - (320 + 640 * np.arange(len(words)))).__abs__().max() < 20


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
