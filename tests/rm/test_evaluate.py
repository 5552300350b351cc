"""`eval-rm`: one judge as before, and a leaderboard of many on many sets with all its files."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rewardkit.data import read_pairs
from rewardkit.encoders import ClipEncoder
from rewardkit.errors import UserError
from rewardkit.types import Images, Scores
from rm import RewardModel
from rm.evaluation.config import EvalRmConfig
from rm.evaluation.conventions import CONVENTIONS
from rm.evaluation.evaluate import evaluate

MakePairs = Callable[..., Path]
BRIGHT = "bright=tests_of_eval_rm:Bright"


class Bright:
    """Prefers the brighter image, as the pairs of `make_pairs` do."""

    name, axis, differentiable = "bright", "brightness", True

    def score(self, images: Images, prompts: list[str]) -> Scores:
        return images.mean((1, 2, 3))


class Dark(Bright):
    def score(self, images: Images, prompts: list[str]) -> Scores:
        return -images.mean((1, 2, 3))


class Broken(Bright):
    def score(self, images: Images, prompts: list[str]) -> Scores:
        return torch.full((len(images),), float("nan"))


@pytest.fixture(autouse=True)
def judges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this file's judges importable by name."""
    import sys
    import types

    module = types.ModuleType("tests_of_eval_rm")
    vars(module).update(Bright=Bright, Dark=Dark, Broken=Broken)
    monkeypatch.setitem(sys.modules, "tests_of_eval_rm", module)


@pytest.fixture
def folder(encoder: ClipEncoder, tmp_path: Path) -> Path:
    RewardModel(encoder, ("alignment", "aesthetic")).save(tmp_path / "rm")
    return tmp_path / "rm"


def test_one_judge_gives_axes_with_interval_n_and_ceiling(
    folder: Path, make_pairs: MakePairs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_pairs(count=12)
    gold = tmp_path / "gold.jsonl"
    gold.write_text("".join(json.dumps({"alignment": [1, 0], "aesthetic": [0, 0]}) + "\n" for _ in range(12)))
    noise = {"alignment": 1.0, "aesthetic": 1.0}
    evaluate(EvalRmConfig(folder, (data,), gold=gold, temperature=noise, out=tmp_path / "one.json"))
    found = json.loads((tmp_path / "one.json").read_text())
    assert found["tie_rule"] == "ties-excluded"
    assert set(found["axes"]) == {"alignment", "aesthetic"}
    assert set(found["axes"]["alignment"]) == {"value", "low", "high", "n", "ceiling"}
    assert found["axes"]["alignment"]["n"] == 12
    assert found["axes"]["alignment"]["ceiling"] == pytest.approx(1 / (1 + 2.718281828**-1))
    assert found["axes"]["aesthetic"]["ceiling"] == 0.5
    printed = capsys.readouterr().out
    assert re.search(r"alignment: 0\.\d{3} \[0\.\d{3}, 0\.\d{3}\], n = 12; ceiling 0\.731", printed)
    assert "tie rule: ties-excluded" in printed


def board(config: EvalRmConfig) -> dict[str, Any]:
    evaluate(config)
    assert config.out is not None
    found: dict[str, Any] = json.loads((config.out / "judges.json").read_text())
    return found


def test_a_leaderboard_ranks_rewards_on_sets(folder: Path, make_pairs: MakePairs, tmp_path: Path) -> None:
    sets = make_pairs(count=12), make_pairs(count=10, axes=("preference",), seed=1)
    models = (BRIGHT, "dark=tests_of_eval_rm:Dark", f"mine={folder}")
    found = board(EvalRmConfig(data=sets, models=models, out=tmp_path / "board"))
    places = [(one["source"], one["axis"]) for one in found["comparisons"]]
    # a score whose axis no pair judges is measured on all axes of the set
    assert {axis for source, axis in places if "0" in source} == {"alignment", "aesthetic", "text"}
    assert [axis for source, axis in places if "1" in source] == ["preference"]
    overall = found["comparisons"][-1]
    names = [standing["name"] for standing in overall["standings"]]
    assert (names[0], names[-1]) == ("bright", "dark")
    assert set(names) == {"bright", "dark", "mine.alignment", "mine.aesthetic"}
    best = overall["standings"][0]["accuracy"]
    assert set(best) == set(CONVENTIONS)
    assert (best["strict"]["value"], best["strict"]["n"], best["strict"]["groups"]) == (1, 10, 10)
    ends = next(one for one in overall["matches"] if {one["first"], one["second"]} == {"bright", "dark"})
    assert ends["difference"]["value"] == 1
    assert (ends["only_first"], ends["only_second"], ends["p"]) == (10, 0, 2 / 2**10)
    assert ends["adjusted"] == pytest.approx(6 * 2 / 2**10)  # the smallest of six tests
    assert overall["agreement"][0][-1] == 0
    profile = found["costs"]["bright"]
    assert profile["images"] == 44
    assert profile["seconds_per_image"] > 0
    assert "dark" in (tmp_path / "board/judges.md").read_text()
    assert "<script" not in (tmp_path / "board/judges.html").read_text()


def rows(path: Path, *given: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in given))
    return path


def test_ready_scores_meet_every_convention_and_each_other(tmp_path: Path) -> None:
    # strict: A 3 of 3 and B 1 of 1; the other judge gives all images the same score
    good = [
        {"prompt": "A", "scores": [3, 2, 1], "ranks": [1, 2, 3]},
        {"prompt": "B", "scores": [1, 2], "ranks": [2, 1]},
    ]
    flat = [row | {"scores": [0] * len(row["ranks"]), "name": "<b>flat"} for row in good]
    paths = rows(tmp_path / "good.jsonl", *good), rows(tmp_path / "flat.jsonl", *flat)
    found = board(EvalRmConfig(scores=paths, out=tmp_path / "board"))
    first, second = found["comparisons"][0]["standings"]
    assert first["name"] == "good"
    assert {rule: one["value"] for rule, one in first["accuracy"].items()} == dict.fromkeys(CONVENTIONS, 1)
    assert {rule: one["value"] for rule, one in second["accuracy"].items()} == {
        "ties-excluded": 0.5,
        "ties-half": 0.5,
        "strict": 0,
        "imagereward": 0,
        "hpsv2": 1,
        "hpsv2-imagereward": 0,
        "pickscore": 0.5,
        "pickscore-trainer": 0,
    }
    assert first["kendall"]["value"] == 1
    assert second["kendall"]["value"] == 0
    assert found["comparisons"][0]["agreement"][0][1] == 0.5
    (match,) = found["comparisons"][0]["matches"]  # right on four pairs, against half right on each
    assert (match["difference"]["value"], match["only_first"], match["only_second"]) == (0.5, 4, 0)
    assert match["p"] == 2 / 2**4
    page = (tmp_path / "board/judges.html").read_text()
    assert "<b>flat" not in page
    assert "&lt;b&gt;flat" in page
    assert "At a glance" in page


def test_a_json_file_gets_the_board_alone(tmp_path: Path) -> None:
    path = rows(tmp_path / "a.jsonl", {"prompt": "A", "scores": [1, 2], "ranks": [1, 2]})
    evaluate(EvalRmConfig(scores=(path,), ties="hpsv2", out=tmp_path / "one.json"))
    found = json.loads((tmp_path / "one.json").read_text())
    assert found["tie_rule"] == "hpsv2"
    assert {one.name for one in tmp_path.iterdir()} == {"a.jsonl", "one.json"}


def test_what_is_missing_or_broken_is_named(make_pairs: MakePairs, tmp_path: Path) -> None:
    config = EvalRmConfig(models=(BRIGHT,), data=(make_pairs(count=4),))
    with pytest.raises(UserError, match="nothing to evaluate"):
        evaluate(EvalRmConfig())
    with pytest.raises(UserError, match="no pairs"):
        evaluate(replace(config, data=()))
    with pytest.raises(UserError, match="two judges are called 'bright'"):
        evaluate(replace(config, models=(BRIGHT, BRIGHT)))
    with pytest.raises(UserError, match=r"gave nan for sample 0 .*a poster"):
        evaluate(replace(config, models=("tests_of_eval_rm:Broken",)))
    bad = read_pairs(config.data[0])[1].first
    assert isinstance(bad, Path)
    bad.write_bytes(b"broken")
    with pytest.raises(UserError, match=bad.name):
        evaluate(config)
    evaluate(replace(config, max_bad=0.5, out=tmp_path / "board"))
    assert "skipped 1 of 4 pairs" in (tmp_path / "board/judges.md").read_text()
