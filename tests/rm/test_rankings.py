"""Ready scores: what a row may hold, and what is wrong with one is said by file and row."""

import json
from pathlib import Path
from typing import Any

import pytest

from rewardkit.data import Skipped
from rewardkit.errors import UserError
from rm.evaluation.rankings import Ranking, pairs_of, read_rankings


def read(tmp_path: Path, *rows: dict[str, Any]) -> dict[tuple[str, str], list[Ranking]]:
    path = tmp_path / "judge.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_rankings(path, Skipped())


def test_pairs_say_who_people_prefer_and_by_how_much_the_scores_differ() -> None:
    pairs = pairs_of(
        [Ranking("p", (3.0, 1.0, 1.5), (1.0, 3.0, 3.0), "p", "p", "g"), Ranking("q", (0.0, 1.0), (2.0, 1.0), *"qqg")]
    )
    assert pairs.difference.tolist() == [2, 1.5, -0.5, -1]
    assert pairs.truth.tolist() == [1, 1, 0, -1]
    assert pairs.listing.tolist() == [0, 0, 0, 1]
    assert pairs.group.tolist() == [0, 0, 0, 0]


def test_a_judge_is_named_by_the_row_or_by_the_file(tmp_path: Path) -> None:
    row = {"prompt": "p", "scores": [1, 2], "ranks": [1, 2]}
    found = read(tmp_path, row, row | {"name": "other", "axis": "text", "category": "animals"})
    assert list(found) == [("judge", "preference"), ("other", "text")]
    assert found["other", "text"][0].categories["category"] == "animals"


def test_rows_of_one_prompt_are_told_apart_and_resampled_together(tmp_path: Path) -> None:
    row = {"prompt": "p", "scores": [1, 2], "ranks": [1, 2]}
    first, second = read(tmp_path, row, row)["judge", "preference"]
    assert first.key != second.key
    assert first.listing != second.listing
    assert first.group == second.group


def test_ratings_are_ranks_the_other_way_round(tmp_path: Path) -> None:
    found = read(tmp_path, {"prompt": "p", "scores": [1, 2, 2], "ratings": [5, 3.5, 5]})
    assert found["judge", "preference"][0].ranks == (-5, -3.5, -5)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"scores": [1, 2, 3], "ranks": [1, 2]}, "row 1 has 3 scores and 2 ranks"),
        ({"scores": [1, float("nan")], "ranks": [1, 2]}, "row 1, scores: number 2 is nan"),
        ({"scores": [1, 2], "ranks": [1, float("inf")]}, "row 1, ranks: number 2 is inf"),
        ({"scores": [1, "2"], "ranks": [1, 2]}, "row 1, scores must be a list of numbers"),
        ({"scores": 1, "ranks": [1, 2]}, "row 1, scores must be a list of numbers"),
        ({"ranks": [1, 2]}, "row 1 has no 'scores'"),
        ({"scores": [1, 2]}, "row 1 has no 'ranks'"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        read(tmp_path, {"prompt": "p", **row})


def test_a_single_image_is_counted_and_left_out(tmp_path: Path) -> None:
    path = tmp_path / "judge.jsonl"
    path.write_text(
        '{"prompt": "p", "scores": [1], "ranks": [1]}\n{"prompt": "q", "scores": [1, 1], "ranks": [1, 1]}\n'
    )
    skipped = Skipped()
    found = read_rankings(path, skipped)
    assert [one.prompt for one in found["judge", "preference"]] == ["q"]
    assert skipped.summary() == "skipped 1 of 2 pairs: 1 row with a single image"
