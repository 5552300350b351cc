"""Work done once each: what is passed over, what is done again, and what the file says."""

import json
from functools import partial
from pathlib import Path

import pytest

from rewardkit.errors import UserError
from rewardkit.training.once import Once


def run(path: Path, *steps: tuple[str, str], fails: str = "") -> list[str]:
    """Do steps (name, what) as a new start would; return the names of those that were really done."""
    done: list[str] = []

    def work(name: str) -> dict[str, int]:
        if name == fails:
            raise KeyboardInterrupt
        done.append(name)
        return {"place": len(done)}

    once = Once(path)
    for name, what in steps:
        once.step(name, what, partial(work, name))
    assert once.seconds >= 0
    return done


def test_a_step_is_done_once_and_what_it_found_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "steps.json"
    assert run(path, ("a", "1"), ("b", "1")) == ["a", "b"]
    assert run(path, ("a", "1"), ("b", "1")) == []
    kept = json.loads(path.read_text())
    assert [(name, one["what"], one["place"]) for name, one in kept.items()] == [("a", "1", 1), ("b", "1", 2)]


def test_what_came_after_a_changed_step_is_done_again(tmp_path: Path) -> None:
    path = tmp_path / "steps.json"
    run(path, ("a", "1"), ("b", "1"), ("c", "1"))
    assert run(path, ("a", "1"), ("b", "2"), ("c", "1")) == ["b", "c"]


def test_a_step_that_was_cut_short_is_done_again_and_those_before_are_not(tmp_path: Path) -> None:
    path = tmp_path / "steps.json"
    with pytest.raises(KeyboardInterrupt):
        run(path, ("a", "1"), ("b", "1"), fails="b")
    assert run(path, ("a", "1"), ("b", "1")) == ["b"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "steps.json").write_text("[")
    with pytest.raises(UserError, match=r"steps\.json.*another folder"):
        Once(tmp_path / "steps.json")
