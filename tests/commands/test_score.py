import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from rewardkit.commands.score import as_table, score
from rewardkit.data.image_folder import Item
from rewardkit.errors import UserError
from rewardkit.images import save_image
from rewardkit.rewards.config import ScoreConfig
from rewardkit.rewards.loaded import AnyReward
from rewardkit.rewards.scoring import Scored, score_items
from rewardkit.types import Images, Scores


class Red:
    name = "red"
    axis = "aesthetic"
    differentiable = True

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        return images[:, 0].mean((1, 2))


class Length:
    """Two axes in one pass, one of them gated by the prompt."""

    name = "length"
    axes: tuple[str, ...] = ("alignment", "text")
    differentiable = False

    def scores(self, images: Images, prompts: Sequence[str]) -> dict[str, Scores]:
        lengths = torch.tensor([float(len(prompt)) for prompt in prompts])
        return {"alignment": lengths, "text": -lengths}


def paint(path: Path, red: float, size: int = 8) -> Path:
    save_image(torch.tensor([red, 0.0, 0.0]).view(3, 1, 1).expand(3, size, size), path)
    return path


def test_images_of_all_sizes_are_scored_in_order(tmp_path: Path) -> None:
    sizes = [8, 8, 8, 16, 8, 16, 16]
    items = [Item(paint(tmp_path / f"{i}.png", i / 10, size), "x" * i) for i, size in enumerate(sizes)]
    rewards: list[AnyReward] = [Red(), Length()]
    rows = score_items(items, rewards, batch_size=2)
    assert [row.item for row in rows] == items
    assert [row.scores["red"] for row in rows] == pytest.approx([i / 10 for i in range(7)], abs=1 / 255)
    assert [row.scores["length.alignment"] for row in rows] == list(range(7))


def test_the_text_score_speaks_only_where_text_is_asked_for(tmp_path: Path) -> None:
    path = paint(tmp_path / "1.png", 0.5)
    plain, quoting = score_items([Item(path, "a cat"), Item(path, 'a cat "HI"')], [Length()])
    assert set(plain.scores) == {"length.alignment"}
    assert quoting.scores["length.text"] == -10


def test_an_unreadable_image_is_a_row_with_its_error(tmp_path: Path) -> None:
    good = paint(tmp_path / "good.png", 0.5)
    bad = tmp_path / "bad.png"
    bad.write_bytes(good.read_bytes()[:40])
    rows = score_items([Item(good, "a"), Item(bad, "b"), Item(good, "c")], [Red()])
    assert [bool(row.error) for row in rows] == [False, True, False]
    assert "bad.png" in rows[1].error
    assert rows[1].scores == {}


def test_score_writes_every_row_and_then_names_the_bad_image(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    paint(folder / "a cat.png", 0.5)
    (folder / "a dog.png").write_bytes(b"no image")
    out = tmp_path / "scores.jsonl"
    with pytest.raises(UserError, match=r"1 of 2 images could not be read.*a dog\.png.*scores\.jsonl"):
        score(ScoreConfig((folder,), ("colourfulness",), out=out))
    first, second = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert first["prompt"] == "a cat"
    assert first["colourfulness"] > 0
    assert second["colourfulness"] is None
    assert "a dog.png" in second["error"]


def test_one_image_is_scored_under_several_prompts_as_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, out = paint(tmp_path / "1.png", 1.0), tmp_path / "scores.csv"
    score(ScoreConfig((image,), ("colourfulness",), prompt=("a, cat", 'say "HI"'), out=out))
    rows = list(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))
    assert [row["prompt"] for row in rows] == ["a, cat", 'say "HI"']
    assert "mean of 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (ScoreConfig((Path("nowhere.png"),), ("colourfulness",)), "no image at nowhere.png"),
        (ScoreConfig((), ("colourfulness",)), "nothing to score"),
        (ScoreConfig((Path("x"),), ("colourfulness",), out=Path("x.txt")), ".jsonl or .csv"),
    ],
)
def test_mistakes_are_the_users_to_mend(config: ScoreConfig, words: str) -> None:
    with pytest.raises(UserError, match=words):
        score(config)


def test_a_file_without_a_prompt_asks_for_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--prompt"):
        score(ScoreConfig((paint(tmp_path / "1.png", 1.0),), ("colourfulness",)))


def test_the_table_lines_up_and_says_what_it_leaves_out() -> None:
    rows = [Scored(Item(Path(f"{i}.png"), "a\nlong " * 20), {"red": float(i)}) for i in range(30)]
    lines = as_table(rows, ["red", "text"]).splitlines()
    assert lines[0].split() == ["image", "prompt", "red", "text"]
    assert len({len(line) for line in lines[:21]}) == 1
    assert lines[-2] == "... and 10 more"
    assert lines[-1].split() == ["mean", "of", "30", "14.5000", "-"]
