"""Which texts can be measured, Korean by tesseract, and tesseract itself where it is installed."""

from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw

from rewardkit.data.image_folder import Item
from rewardkit.errors import UserError
from rewardkit.images import OneImage, save_image, to_tensor
from rewardkit.ocr import OcrReward, check_measurable, unknown_letters, unreadable
from rewardkit.ocr.measurable import needs_tesseract
from rewardkit.ocr.tesseract import Tesseract, languages
from rewardkit.posters.fonts import latin_font, load_font
from rewardkit.rewards.panel import Panel
from rewardkit.rewards.registry import load_rewards
from rewardkit.rewards.scoring import score_items

KOREAN = "kor" in languages()


def sign(text: str) -> OneImage:
    image = Image.new("RGB", (240, 80), "white")
    ImageDraw.Draw(image).text((120, 40), text, fill="black", font=load_font(latin_font(), 40), anchor="mm")
    return to_tensor(image)


@pytest.mark.parametrize("text", ["SALE", "Café Ñandú", "热干面 2024", "ラーメン", "5 €", "ﬁne"])
def test_what_the_models_know_is_measurable(text: str) -> None:
    check_measurable(text)
    assert not unknown_letters(text)


@pytest.mark.parametrize(
    ("text", "named"),
    [("Время", "Cyrillic"), ("Ωραίος", "Greek"), ("การแพทย์", "Thai"), ("Việt ắ", "ắ"), ("\U0002a6d6", "\U0002a6d6")],
)
def test_what_they_do_not_know_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(UserError, match=f"not measurable.*{named}"):
        check_measurable(text)


def test_korean_is_measurable_by_tesseract_only() -> None:
    assert unreadable("봄 SALE") == ["HANGUL"]
    assert needs_tesseract("봄 SALE")
    check_measurable("봄 SALE", korean=True)
    with pytest.raises(UserError, match=r"not measurable.*tesseract-ocr-kor"):
        check_measurable("봄 SALE", korean=False)
    with pytest.raises(UserError, match="Cyrillic"):
        check_measurable("봄 Время", korean=True)


@pytest.mark.skipif(KOREAN, reason="tesseract reads Korean here")
def test_a_korean_prompt_is_refused_and_never_scored() -> None:
    with pytest.raises(UserError, match="not measurable"):
        OcrReward().score(torch.stack([sign("SALE"), sign("SALE")]), ['a "SALE"', '글자 "봄날"'])


@pytest.mark.skipif(not KOREAN, reason="needs tesseract with kor")
def test_a_korean_prompt_is_read_by_tesseract() -> None:
    assert OcrReward().score(sign("SALE")[None], ['글자 "봄날"']).tolist() == [0.0]


@pytest.mark.skipif("eng" not in languages(), reason="needs tesseract with eng")
def test_tesseract_reads_small_and_large_images() -> None:
    reader = Tesseract("eng")
    assert reader.read(sign("SALE")) == "SALE"
    assert Tesseract("eng", layout=7).read(sign("OPEN")) == "OPEN"
    assert reader.read(torch.ones(3, 80, 240)) == ""


def test_what_cannot_be_read_is_left_out_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The other images and the other judges are scored; a panel does not count the one that is not."""
    save_image(sign("SALE"), tmp_path / "sale.png")
    prompts = ['a sign "SALE"', 'a sign "Время"', "a sign"]
    rows = score_items([Item(tmp_path / "sale.png", one) for one in prompts], load_rewards(["ocr", "colourfulness"]))
    assert [row.scores.get("ocr") for row in rows] == [1.0, None, None]
    assert all("colourfulness" in row.scores for row in rows)
    assert "ocr: 1 images left out" in capsys.readouterr().out
    panel = Panel(load_rewards(["ocr", "ocr-ctc"]))
    assert [gate.tolist() for gate in panel.gates(prompts).values()] == [[True, False, False]] * 2
    raw = panel.raw(sign("SALE").expand(3, -1, -1, -1), prompts)
    assert raw["ocr"].tolist() == [1.0, 0.0, 0.0]
    assert raw["ocr-ctc"][1:].tolist() == [0.0, 0.0]


def test_a_language_that_is_not_installed_is_named() -> None:
    with pytest.raises(UserError, match="xyz"):
        Tesseract("xyz")
