import json
from pathlib import Path

import pytest

from rewardkit.leaderboard.compare import (
    Comparison,
    EntryFacts,
    Score,
    as_json,
    group_prompts,
    prompt_means,
    rank,
    shared_prompts,
)
from rewardkit.leaderboard.markdown import markdown

LOOKS = Score("looks", "aesthetic", trained=False)
BEFORE = {"a": {"looks": 1.0}, "b": {"looks": 2.0}, "c": {"looks": 3.0}, "d": {"looks": 4.0}}
AFTER = {"a": {"looks": 2.0}, "b": {"looks": 2.0}, "c": {"looks": 5.0}, "d": {"looks": 3.0}}


def comparison() -> Comparison:
    facts = (EntryFacts("before", "x", "names", 4, 4), EntryFacts("a|b", "y", "names", 5, 5, unreadable=1, unshared=1))
    ranking = rank(LOOKS, {"before": BEFORE, "a|b": AFTER}, list("abcd"), {})
    return Comparison("Before *and* after", 4, facts, (ranking,))


def test_standings_are_those_computed_by_hand() -> None:
    before, after = rank(LOOKS, {"before": BEFORE, "after": AFTER}, list("abcd"), {}).standings
    assert (before.mean.value, before.difference, before.wins) == (2.5, None, None)
    assert (after.mean.value, after.mean.n) == (3.0, 4)
    # differences 1, 0, 2, -1: mean 0.5, s = 1.2910, half-width 3.1824 * s / 2
    assert after.difference is not None
    assert after.difference.value == 0.5
    assert after.difference.low == pytest.approx(0.5 - 2.05426, abs=1e-4)
    assert after.wins is not None
    assert (after.wins.wins, after.wins.ties, after.wins.losses, after.wins.value) == (2, 1, 1, 0.625)


def test_the_win_matrix_mirrors_itself() -> None:
    third = {prompt: {"looks": 2.5} for prompt in "abcd"}
    wins = rank(LOOKS, {"x": BEFORE, "y": AFTER, "z": third}, list("abcd"), {}).wins
    for i in range(3):
        for j in range(3):
            mine, theirs = wins[i][j], wins[j][i]
            assert (mine is None) == (i == j)
            assert mine is None or theirs is None or mine + theirs == 1
    assert wins[1][0] == 0.625


def test_a_score_is_compared_where_every_entry_has_it() -> None:
    lacking = {**AFTER, "c": {}}
    before, after = rank(LOOKS, {"before": BEFORE, "after": lacking}, list("abcd"), {}).standings
    assert before.mean.n == after.mean.n == 3
    assert before.mean.value == pytest.approx(7 / 3)


def test_images_of_one_prompt_count_once() -> None:
    rows = [("a", {"looks": 1.0}), ("a", {"looks": 3.0}), ("b", {"looks": 5.0, "text": 1.0})]
    assert prompt_means(rows) == {"a": {"looks": 2.0}, "b": {"looks": 5.0, "text": 1.0}}


def test_shared_prompts_keep_the_first_order() -> None:
    assert shared_prompts([["c", "a", "b", "a"], ["a", "c"], ["c", "x", "a"]]) == ["c", "a"]


def test_tags_group_prompts_where_groups_are_worth_it() -> None:
    tags = {
        "a": {"kind": "animal", "seed": 1, "skills": ["count", "colour"]},
        "b": {"kind": "animal", "seed": 2, "skills": ["colour"]},
        "c": {"kind": "food", "seed": 3, "skills": []},
        "d": {"kind": "food", "seed": 4, "scene": {"x": 1}},
    }
    groups = group_prompts(list("abcd"), tags)
    assert groups == {
        ("kind", "animal"): ["a", "b"],
        ("kind", "food"): ["c", "d"],
        ("skills", "colour"): ["a", "b"],
        ("skills", "count"): ["a"],
    }
    ranking = rank(LOOKS, {"before": BEFORE, "after": AFTER}, list("abcd"), tags)
    food = next(group for group in ranking.groups if group.value == "food")
    assert food.standings[1].mean.value == 4.0


def test_json_is_plain_and_has_no_infinity(tmp_path: Path) -> None:
    one = {"a": {"looks": 1.0}}
    lone = rank(LOOKS, {"x": one, "y": one}, ["a"], {})
    plain = as_json(Comparison("t", 1, (), (lone,)))
    again = json.loads(json.dumps(plain, allow_nan=False))
    assert again == plain
    assert plain["rankings"][0]["standings"][0]["mean"] == {"value": 1.0, "low": None, "high": None, "n": 1}


def test_markdown_is_stable_and_keeps_names_in_their_cells() -> None:
    text = markdown(comparison())
    assert text == markdown(comparison())
    assert "# Before \\*and\\* after" in text
    assert "| before | 2.500 | [0.446, 4.554] | 4 | – | – | – |" in text
    assert "| a\\|b | 3.000 | [0.750, 5.250] | 4 | +0.500 | [−1.554, 2.554] | 62 % |" in text
    assert "unreadable: 1, prompts another entry lacks: 1" in text
