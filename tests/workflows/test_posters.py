"""`rewardkit posters`: what each kind writes, and that it can be read back."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rewardkit.data import read_pairs
from rewardkit.errors import UserError
from rewardkit.images import load_image
from rewardkit.posters import requests
from rewardkit.posters.draw import draw
from rewardkit.posters.flaws import erase_strokes, flawed, misspelt, wrong_text
from rewardkit.posters.fonts import latin_font
from rewardkit.posters.judge import PostersAesthetic, PostersAlignment
from rewardkit.posters.names import TEMPERATURE
from rewardkit.posters.preferences import INVISIBLE, bayes_accuracy
from rewardkit.posters.requests import NO_CJK, distinct_requests
from rewardkit.posters.scene import Scene
from rewardkit.prompts import has_text, read_prompts
from rewardkit.workflows.posters import command
from rewardkit.workflows.posters.command import make
from rewardkit.workflows.posters.config import PostersConfig

SCENE = Scene("circle", "red", "left", "large", "white", "vivid", "SALE")


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pairs")
    make(PostersConfig(out, kind="pairs", count=24, style="mixed", batch_size=10))
    return out


def test_pairs_are_read_back_with_three_labels(made: Path) -> None:
    records = read_pairs(made / "pairs.jsonl")
    assert len(records) == 24
    for record in records:
        assert set(record.label) == {"alignment", "aesthetic", "text"}
        assert load_image(record.first).shape == load_image(record.second).shape == (3, 64, 64)
        assert has_text(record.prompt) or record.label["text"] == 0.5
    assert sum(has_text(record.prompt) for record in records) >= 12
    assert {value for record in records for value in record.label.values()} == {0.0, 0.5, 1.0}


def test_gold_is_that_of_the_files_and_is_kept_apart(made: Path) -> None:
    records, gold = read_pairs(made / "pairs.jsonl"), rows(made / "gold.jsonl")
    assert not any("gold" in key for row in rows(made / "pairs.jsonl") for key in row)
    images = torch.stack([load_image(record.first) for record in records])
    wanted = [record.prompt for record in records]
    for judge in (PostersAlignment(), PostersAesthetic()):
        kept = [row[judge.axis][0] for row in gold]  # type: ignore[index]
        assert judge.score(images, wanted).tolist() == pytest.approx(kept, abs=1e-4)


def test_ceilings_are_those_of_the_gold_scores(made: Path) -> None:
    gold, report = rows(made / "gold.jsonl"), json.loads((made / "ceilings.json").read_text())
    first, second = torch.tensor([row["aesthetic"] for row in gold]).unbind(1)
    ceiling = bayes_accuracy(first, second, TEMPERATURE["aesthetic"], INVISIBLE["aesthetic"])
    assert report["aesthetic"]["ceiling"] == pytest.approx(ceiling)
    assert report["text"]["n"] <= sum(has_text(record.prompt) for record in read_pairs(made / "pairs.jsonl"))


def test_same_seed_same_pairs(made: Path, tmp_path: Path) -> None:
    make(PostersConfig(tmp_path, kind="pairs", count=24, style="mixed", batch_size=10))
    assert (tmp_path / "pairs.jsonl").read_text() == (made / "pairs.jsonl").read_text()


def test_excluded_prompts_do_not_come_again(tmp_path: Path) -> None:
    first = PostersConfig(out=tmp_path / "a", kind="pairs", count=6, seed=5, text_share=0.0)
    make(first)
    make(replace(first, out=tmp_path / "b", exclude=(tmp_path / "a/pairs.jsonl",)))
    known, new = ({record.prompt for record in read_pairs(tmp_path / name / "pairs.jsonl")} for name in "ab")
    assert len(new) == 6
    assert not known & new


def test_prompt_splits_share_nothing(tmp_path: Path) -> None:
    make(PostersConfig(tmp_path, kind="prompts", count=200, style="mixed", languages=("en", "zh", "ko"), held_out=0.25))
    train, held = read_prompts(tmp_path / "train.jsonl"), read_prompts(tmp_path / "held_out.jsonl")
    assert (len(train), len(held)) == (150, 50)
    assert not {prompt.text for prompt in train} & {prompt.text for prompt in held}
    assert {prompt.tags["language"] for prompt in train} == {"en", "zh", "ko"}
    assert {prompt.tags["split"] for prompt in held} == {"held_out"}


def test_a_world_used_up_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "PATIENCE", 3)
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(UserError, match="has only about"):
        list(distinct_requests(3000, generator, ["en"], "short", 0.0))


def test_images_with_captions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(PostersConfig(tmp_path, count=4, size=96, fonts=latin_font().parent))
    found = rows(tmp_path / "metadata.jsonl")
    assert len(found) == 4
    assert all(load_image(tmp_path / str(row["file_name"])).shape == (3, 96, 96) for row in found)
    assert "4 posters" in capsys.readouterr().out


def test_missing_chinese_font_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "cjk_font", lambda: None)
    make(PostersConfig(tmp_path, kind="prompts", count=2, languages=("zh",)))
    assert NO_CJK in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"languages": ("fr",)}, "no captions in language 'fr'"),
        ({"languages": ()}, "name one language"),
        ({"text_share": 2.0}, "text_share must be between 0 and 1"),
        ({"count": 0}, "count must be 1 or more"),
    ],
)
def test_options_that_make_no_sense(tmp_path: Path, changed: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make(replace(PostersConfig(tmp_path), **changed))  # type: ignore[arg-type]


def test_a_folder_without_fonts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    with pytest.raises(UserError, match="no font with Latin letters in"):
        make(PostersConfig(tmp_path / "out", fonts=tmp_path))
    assert "broken.ttf" in capsys.readouterr().out


def test_symbol_fonts_are_left_out() -> None:
    assert command.has_latin(latin_font())
    assert not command.has_latin(latin_font().with_name("STIXSizOneSymReg.ttf"))


def test_slips_change_a_text_and_leave_something() -> None:
    generator = torch.Generator().manual_seed(0)
    slipped = [misspelt(text, generator) for text in ["SALE", "42", "春", "A"] * 20]
    assert all(slipped)
    assert sum(text not in {"SALE", "42", "春", "A"} for text in slipped) > 60
    assert wrong_text("SALE", "absent", generator) is None
    assert wrong_text("SALE", "another", generator) not in {"SALE", None}


def test_erased_strokes_touch_the_text_only() -> None:
    whole, image = draw(SCENE), draw(SCENE)
    erase_strokes(image, SCENE, torch.Generator().manual_seed(0))
    assert image.tobytes() != whole.tobytes()
    assert image.crop((0, 0, 64, 39)).tobytes() == whole.crop((0, 0, 64, 39)).tobytes()


def test_flawed_posters_are_images_and_reproducible() -> None:
    first, second = (flawed(SCENE.without("position"), 64, (), torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.min() >= 0
    assert first.max() <= 1
