"""The demo's own part: steps that run once, and the figures it gathers. The whole of it is `make demo`."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch

from rewardkit.errors import UserError
from rewardkit.workflows.demo.measure import before_and_after, compare, read_rewrites
from rewardkit.workflows.demo.report import smooth
from rewardkit.workflows.pipeline import Pipeline


def test_a_step_runs_once_and_again_when_it_is_another(tmp_path: Path) -> None:
    ran: list[str] = []
    for what in ("a", "a", "b"):
        Pipeline(tmp_path).step("name", what, partial(ran.append, what))
    assert ran == ["a", "b"]


def test_what_came_after_a_step_that_is_another_is_done_again(tmp_path: Path) -> None:
    ran: list[str] = []

    def chain(second: str) -> None:
        steps = Pipeline(tmp_path)
        for name, what in (("one", "a"), ("two", second), ("three", "c")):
            steps.step(name, what, partial(ran.append, what))

    chain("b")
    chain("b")
    assert ran == ["a", "b", "c"]
    steps = Pipeline(tmp_path)  # ends before the third comes again
    steps.step("one", "a", partial(ran.append, "a"))
    steps.step("two", "B", partial(ran.append, "B"))
    chain("B")
    assert ran == ["a", "b", "c", "B", "c"]


def test_a_step_that_fails_is_not_done(tmp_path: Path) -> None:
    steps = Pipeline(tmp_path)
    with pytest.raises(UserError, match=r"cannot read .*No such file"):
        steps.command("refl", "refl", "--prompts", tmp_path / "none.txt", "--rewards", "colourfulness")
    assert not steps.done


def test_figures_are_taken_from_a_leaderboard(tmp_path: Path) -> None:
    def ranking(axis: str) -> dict[str, object]:
        before = {"mean": {"value": 0.25}, "difference": None}
        after = {"mean": {"value": 0.5}, "difference": {"value": 0.25, "low": 0.1, "high": 0.4, "n": 9}}
        return {"score": {"name": f"posters-{axis}"}, "standings": [before, after]}

    path = tmp_path / "leaderboard.json"
    path.write_text(json.dumps({"rankings": [ranking(axis) for axis in ("text", "alignment", "aesthetic")]}))
    assert before_and_after(path)["text"] == {
        "before": 0.25,
        "after": 0.5,
        "diff": 0.25,
        "low": 0.1,
        "high": 0.4,
        "n": 9,
    }


def test_compare_leaves_out_what_is_not_judged() -> None:
    before = torch.tensor([0.0, 0.5, torch.nan]).double()
    after = torch.tensor([0.5, 1.0, torch.nan]).double()
    figures = compare(before, after)
    assert (figures["before"], figures["after"], figures["diff"], figures["n"]) == (0.25, 0.75, 0.5, 2)


def test_rewrites_become_prompts(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"prompt": "a", "rewrite": "a b"}\n')
    read_rewrites(tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text()) == {"prompt": "a b"}


def test_curves_are_smoothed_over_the_past_only() -> None:
    assert smooth([(1, 0.0), (2, 1.0), (3, 2.0)], width=2) == ([1, 2, 3], [0.0, 0.5, 1.5])
