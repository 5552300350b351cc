"""Pairs of users: the usual names of columns, labels in words and numbers, and what is refused."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rewardkit.data import PreferenceRecord, read_records, read_source
from rewardkit.errors import UserError


def read(folder: Path, rows: Sequence[dict[str, Any]], columns: Sequence[str] = ()) -> list[PreferenceRecord]:
    path = folder / "votes.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_records(path, columns=columns)


def values(records: Sequence[PreferenceRecord]) -> list[float]:
    return [record.label["preference"] for record in records]


@pytest.mark.parametrize(
    "names",
    [
        ("image_a", "image_b"),
        ("imageA", "imageB"),
        ("img1", "img2"),
        ("left", "right"),
        ("left_image", "right_image"),
        ("image_0", "image_1"),
        ("image_1", "image_2"),
        ("path_a", "path_b"),
        ("A", "B"),
        ("response_a", "response_b"),
        ("model_a", "model_b"),
        ("first_image", "second_image"),
        ("path1", "path2"),
    ],
)
@pytest.mark.parametrize("prompt", ["prompt", "Caption", "text"])
def test_images_under_their_usual_names(tmp_path: Path, names: tuple[str, str], prompt: str) -> None:
    rows = [
        {prompt: "a cat", names[0]: "x.png", names[1]: "y.png", "winner": word} for word in (names[0], names[1], "tie")
    ]
    records = read(tmp_path, rows)
    assert [(r.prompt, r.first.name, r.second.name) for r in records if isinstance(r.first, Path)] == [
        ("a cat", "x.png", "y.png")
    ] * 3
    assert values(records) == [1.0, 0.0, 0.5]


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (
            (
                "model_a",
                "Model A",
                "a",
                "A",
                "left",
                "first",
                "image_a",
                "A is better",
                "a_wins",
                "A>B",
                "A>>B",
                "x.png",
            ),
            1.0,
        ),
        (("model_b", "b", "right", "second", "image_b", "B_better", "b>a", "A<B", "y.png", "sdxl"), 0.0),
        (("tie", "Tie", "both bad", "tie (bothbad)", "both_bad", "tie_case", "A=B", "neither", "draw"), 0.5),
    ],
)
def test_the_winner_in_words(tmp_path: Path, words: Sequence[str], value: float) -> None:
    row = {"prompt": "a", "image_a": "x.png", "image_b": "y.png", "model_a": "flux", "model_b": "sdxl"}
    records = read(tmp_path, [{**row, "winner": word} for word in words])
    assert values(records) == [value] * len(words)
    assert {record.models for record in records} == {("flux", "sdxl")}


@pytest.mark.parametrize(
    ("images", "column", "numbers", "expected"),
    [
        (("image_a", "image_b"), "winner", [1, 2, "tie"], None),
        (("image_a", "image_b"), "winner", [1, 2], [1.0, 0.0]),
        (("image_a", "image_b"), "winner", ["1", "-1", "0"], [1.0, 0.0, 0.5]),
        (("image_a", "image_b"), "winner", [0, 1], None),
        (("image_a", "image_b"), "winner", [1, 1], None),
        (("image_a", "image_b"), "winner", [True, False], None),
        (("image_0", "image_1"), "winner", [0, 1], [1.0, 0.0]),
        (("image_1", "image_2"), "winner", [1, 1], [1.0, 1.0]),
        (("image_1", "image_2"), "winner", [0, 1], None),
        (("image_1", "image_2"), "winner", ["image_2", "image_1"], [0.0, 1.0]),
        (("image_0", "image_1"), "winner", ["image_1", "image_0"], [0.0, 1.0]),
        (("image_a", "image_b"), "winner", ["cat"], None),
        (("image_a", "image_b"), "label", [1, 0, 0.5, 0.75], [1.0, 0.0, 0.5, 0.75]),
        (("image_a", "image_b"), "label", [1, 2], [1.0, 0.0]),
        (("image_a", "image_b"), "label", [1, -1, 0], [1.0, 0.0, 0.5]),
        (("image_a", "image_b"), "label", [True, False, "true"], [1.0, 0.0, 1.0]),
        (("image_a", "image_b"), "label", [0, 1, 2], None),
        (("image_a", "image_b"), "label", [0.5, -1], None),
        (("image_a", "image_b"), "preference", [0.25], [0.25]),
        (("first", "second"), "winner", ["second", "first"], [0.0, 1.0]),
    ],
)
def test_numbers_are_read_where_they_mean_one_thing(
    tmp_path: Path, images: tuple[str, str], column: str, numbers: Sequence[Any], expected: Sequence[float] | None
) -> None:
    rows = [{"prompt": "a", images[0]: "x.png", images[1]: "y.png", column: number} for number in numbers]
    if expected is None:
        with pytest.raises(UserError, match=r"votes\.jsonl, row \d"):
            read(tmp_path, rows)
    else:
        assert values(read(tmp_path, rows)) == expected


def test_a_chosen_image_is_the_better_one_and_its_place_tells_nothing(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{i}", "chosen": f"{i}good.png", "rejected": f"{i}bad.png"} for i in range(40)]
    records = read(tmp_path, rows)
    assert all(("good" in str(record.first)) == (record.label["preference"] == 1) for record in records)
    assert 5 < sum(values(records)) < 35


def test_columns_by_hand(tmp_path: Path) -> None:
    row = {"text": "wrong", "words": "a cat", "links": "x.png", "rechts": "y.png", "urteil": "rechts", "art": "b"}
    by_hand = ["prompt=words", "first=links", "second=rechts", "label=urteil"]
    (record,) = read(tmp_path, [row], by_hand)
    assert (record.prompt, record.label) == ("a cat", {"preference": 0.0})
    with pytest.raises(UserError, match=r"no column 'ja' \(--columns label=ja\); it has text, words, links"):
        read(tmp_path, [row], [*by_hand[:3], "label=ja"])
    with pytest.raises(UserError, match=r"--columns takes NAME=COLUMN .* got 'words'"):
        read(tmp_path, [row], ["words"])
    with pytest.raises(UserError, match=r"It has text, words, links, .*nearest formats: .*; .*--columns"):
        read(tmp_path, [row])


@pytest.mark.parametrize("source", ["path_src", "source_image", "input_image", "source", "original"])
@pytest.mark.parametrize("names", [("path1", "path2"), ("image_a", "image_b"), ("first", "second")])
def test_editing_pairs_are_refused_by_name(tmp_path: Path, source: str, names: tuple[str, str]) -> None:
    rows = [{"prompt": "make it red", source: "s.png", names[0]: "x.png", names[1]: "y.png", "label_x": 1}]
    with pytest.raises(UserError, match=rf"row 1: column '{source}' holds a source image .* editing pairs"):
        read(tmp_path, rows)
    rows[0][source] = "annotator 3" if source in ("source", "original") else ""
    assert len(read(tmp_path, rows)) == 1


def test_a_tie_case_is_a_tie(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "path1": "x.png", "path2": "y.png", "tie_case": tie} for tie in (True, False)]
    assert sorted(values(read(tmp_path, rows)))[0] in (0.0, 0.5)
    assert values(read(tmp_path, rows))[0] == 0.5
    assert values(read(tmp_path, rows))[1] in (0.0, 1.0)


def test_more_than_two_images_are_no_pair(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="more than two images in a row"):
        read(tmp_path, [{"prompt": "a", "image_1": "x", "image_2": "y", "image_3": "z", "winner": 1}])


def test_an_empty_shard_adds_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("")
    (tmp_path / "c.csv").write_text("prompt,first,second,label_x\n")
    (tmp_path / "b.jsonl").write_text('{"prompt": "a", "first": "x", "second": "y", "label_x": 1}\n')
    assert len(read_source(tmp_path).records) == 1
    (tmp_path / "b.jsonl").unlink()
    with pytest.raises(UserError, match="has no pairs"):
        read_source(tmp_path)


def test_a_set_saved_to_disk_is_named(tmp_path: Path) -> None:
    from datasets import Dataset

    Dataset.from_list([{"prompt": "a"}]).save_to_disk(tmp_path / "set")
    with pytest.raises(UserError, match=r"saved by save_to_disk .*to_parquet"):
        read_source(tmp_path / "set")
