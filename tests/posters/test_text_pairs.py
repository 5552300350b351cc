"""Pairs of right and wrong text: what each flaw does, what is refused, and what is written down."""

import shutil
from pathlib import Path

import pytest
import torch
from fontTools.ttLib import TTFont
from fontTools.ttLib.tables._g_l_y_f import Glyph
from PIL import Image

from rewardkit.commands.cli import main
from rewardkit.data import Skipped, read_pairs
from rewardkit.errors import UserError
from rewardkit.images import load_image, to_tensor
from rewardkit.ocr import accuracy
from rewardkit.posters.draw import BACKGROUND_RGB, INK, draw
from rewardkit.posters.fonts import cjk_font, font_for, latin_font
from rewardkit.posters.scene import Scene
from rewardkit.posters.text_pairs.command import make
from rewardkit.posters.text_pairs.config import KINDS, LANGUAGE, TextPairsConfig
from rewardkit.posters.text_pairs.flaws import MALFORMED, SLIPS, doubled, giant, missing, strokes, swapped
from rewardkit.posters.text_pairs.typefaces import Typeface, read_folder, select
from rewardkit.posters.text_pairs.words import TEXTS, foreign, texts_of
from rewardkit.prompts import wanted_text
from rewardkit.workflows.posters.command import has_latin

SCENE = Scene("star", "red", "centre", "small", "white", "vivid", "OPEN")
FACE = Typeface(latin_font())


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def fonts(tmp_path: Path) -> Path:
    folder = tmp_path / "fonts"
    folder.mkdir()
    shutil.copy(latin_font(), folder)
    return folder


@pytest.mark.parametrize("text", ["OPEN", "春节特惠", "LIVE MUSIC", "AAB"])
def test_slips_change_one_place(text: str) -> None:
    for seed in range(10):
        one, two, three = (slip(text, generator(seed)) for slip in (swapped, missing, doubled))
        assert one is not None
        assert one != text
        assert sorted(one) == sorted(text)
        assert two is not None
        assert len(two) == len(text) - 1
        assert three is not None
        assert len(three) == len(text) + 1
        assert set(three) == set(text)


def test_slips_that_cannot_be() -> None:
    assert swapped("AAA", generator()) is None
    assert swapped("A B", generator()) is None
    assert missing("春", generator()) is None
    assert doubled("春", generator()) == "春春"


def test_malformed_strokes_touch_the_text_only() -> None:
    right = to_tensor(draw(SCENE, 128, FACE.path))
    changed = 0
    for seed in range(8):
        wrong = to_tensor(strokes(SCENE, 128, FACE, generator(seed)))
        assert torch.equal(wrong[:, :84], right[:, :84])
        changed += not torch.equal(wrong, right)
    assert changed >= 7


def test_giant_text_fills_the_picture() -> None:
    image = giant(SCENE, 64, FACE, generator())
    ink = (to_tensor(image) - torch.tensor(INK["white"]).view(3, 1, 1) / 255).abs().amax(0) < 0.1
    rows, columns = ink.any(1).nonzero(), ink.any(0).nonzero()
    assert rows.max() - rows.min() > 52
    assert columns.max() - columns.min() > 52
    assert 0.2 < ink.float().mean() < 0.8
    assert image.getpixel((0, 0)) == BACKGROUND_RGB["white"]


def test_foreign_texts_share_no_letter() -> None:
    for language, texts in TEXTS.items():
        others = foreign(language, texts)
        letters = set("".join(texts).casefold()) - {" "}
        assert others
        assert not letters & set("".join(others).casefold())


def test_a_face_knows_its_letters() -> None:
    assert FACE.has("OPEN ЖИЗНЬ")
    assert not FACE.has("春")
    assert select([FACE], ["春"], generator()) is None
    assert select([FACE], ["OPEN"], generator()) == FACE


def test_a_letter_needs_a_shape_and_not_only_a_place_in_the_character_map(tmp_path: Path) -> None:
    """Blank glyphs and the box for missing ones, both mapped: posters would lack letters and be labelled right."""
    font = TTFont(latin_font())
    font["glyf"]["B"] = Glyph()
    font["glyf"]["C"] = font["glyf"][".notdef"]
    font["hmtx"]["C"] = font["hmtx"][".notdef"]
    font.save(tmp_path / "holes.ttf")
    face = Typeface(tmp_path / "holes.ttf")
    assert {ord("B"), ord("C")} <= face.letters
    assert [face.has(text) for text in ("A", "D A", "AB", "CAD")] == [True, True, False, False]
    assert select([face, FACE], ["BACK"], generator()) == FACE
    assert not has_latin(face.path)
    assert has_latin(FACE.path)


def test_text_that_no_font_draws_is_refused() -> None:
    with pytest.raises(LookupError, match="no font that draws"):
        font_for("\u0e01")  # Thai, which DejaVu lacks


def test_pairs_are_written_labelled_and_the_same_again(fonts: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert main(["pairs", "text", "--fonts", str(fonts), "--count", "24", "--out", str(tmp_path / name)]) == 0
    records = read_pairs(tmp_path / "one" / "pairs.jsonl")
    assert len(records) == 24
    assert {record.source for record in records} == set(KINDS)
    assert (*SLIPS, LANGUAGE, *MALFORMED) == KINDS
    assert {record.label["text"] for record in records} == {0.0, 1.0}
    for record, again in zip(records, read_pairs(tmp_path / "two" / "pairs.jsonl"), strict=True):
        assert record.group == wanted_text(record.prompt)
        assert set(record.label) == {"text"}
        assert torch.equal(load_image(record.first), load_image(again.first))
        assert not torch.equal(load_image(record.first), load_image(record.second))


def test_the_label_names_the_right_text(tmp_path: Path) -> None:
    from rewardkit.posters.judge import PostersText

    kinds = ("missing", "language")
    make(TextPairsConfig(tmp_path, count=12, kinds=kinds, words=words(tmp_path, "OPEN\nCOFFEE\nMUSIC\n")))
    records = read_pairs(tmp_path / "pairs.jsonl")
    sides = [torch.stack([load_image(getattr(r, side)) for r in records]) for side in ("first", "second")]
    first, second = (PostersText().score(side, [r.prompt for r in records]) for side in sides)
    agree = ((first > second) == torch.tensor([r.label["text"] == 1 for r in records])) & (first != second)
    assert agree.float().mean() > 0.8


def words(folder: Path, texts: str) -> Path:
    path = folder / "words.txt"
    path.write_text(texts, encoding="utf-8")
    return path


def test_texts_without_a_font_are_counted(fonts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (fonts / "broken.ttf").write_bytes(b"no font")
    path = words(tmp_path, "OPEN\n春\nOPEN\n")
    make(TextPairsConfig(tmp_path / "out", fonts=fonts, count=4, words=path))
    assert "left out: 1 texts that no font can render, 1 unreadable fonts" in capsys.readouterr().out


def test_chinese_is_written_where_a_font_has_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if cjk_font() is None:
        with pytest.raises(UserError, match="no font"):
            make(TextPairsConfig(tmp_path, language="zh", count=6))
        return
    make(TextPairsConfig(tmp_path, language="zh", count=12))
    records = read_pairs(tmp_path / "pairs.jsonl")
    assert all(record.group in TEXTS["zh"] for record in records)
    assert "海报" in records[0].prompt


def test_a_word_of_the_users_in_any_language(tmp_path: Path) -> None:
    assert texts_of("uk", words(tmp_path, "ЩАСТЯ\nМИР\n")) == ("ЩАСТЯ", "МИР")
    make(TextPairsConfig(tmp_path / "out", language="uk", count=6, words=words(tmp_path, "ЩАСТЯ\n")))
    assert accuracy(wanted_text(read_pairs(tmp_path / "out" / "pairs.jsonl")[0].prompt), "ЩАСТЯ") == 1


def test_fonts_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder"):
        read_folder(tmp_path / "nowhere", Skipped())
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="no readable font"):
        read_folder(tmp_path, Skipped())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kinds": ("swaped",)}, "swapped"),
        ({"size": 8}, "size"),
        ({"count": 0}, "count"),
        ({"language": "xx"}, "--words"),
        ({"kinds": ("missing",), "language": "zh", "words": "春"}, "can have the flaw"),
    ],
)
def test_wrong_options_are_user_errors(tmp_path: Path, change: dict[str, object], message: str) -> None:
    if "words" in change:
        if cjk_font() is None:
            pytest.skip("no Chinese font")
        change = change | {"words": words(tmp_path, "春\n")}
    with pytest.raises(UserError, match=message):
        make(TextPairsConfig(tmp_path / "out", **({"count": 2} | change)))  # type: ignore[arg-type]
