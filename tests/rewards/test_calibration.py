"""Rewards on the 1-5 scale: in `score` and in `leaderboard`, and what does not fit is named."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from rewardkit.commands.cli import run
from rewardkit.errors import UserError
from rewardkit.images import save_image
from rewardkit.rewards.calibration import FORMAT, MARK, on_scale
from rewardkit.types import Images, Scores


class Grey:
    """One axis: brightness."""

    name, axis, differentiable = "grey", "light", True

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        return images.mean((1, 2, 3))


class Both:
    """Two axes."""

    name, differentiable = "both", True
    axes: tuple[str, ...] = ("light", "dark")

    def scores(self, images: Images, prompts: Sequence[str]) -> dict[str, Scores]:
        light = images.mean((1, 2, 3))
        return {"light": light, "dark": -light}


@pytest.fixture
def scale(tmp_path: Path) -> Path:
    path = tmp_path / "calibration.json"
    axis = {"scores": [0.0, 0.5, 1.0], "ratings": [1.0, 4.0, 5.0], "temperature": 1.0}
    path.write_text(json.dumps({MARK: FORMAT, "axes": {"light": axis}}))
    return path


def test_ratings_are_on_the_scale_and_other_axes_left_out(scale: Path) -> None:
    images = torch.tensor([0.0, 0.25, 0.75, 1.0])[:, None, None, None].expand(-1, 3, 4, 4)
    one, both, as_it_was = on_scale([Grey(), Both(), Third()], {"grey": scale, "both": scale})
    assert one.score(images, [""] * 4).tolist() == [1.0, 2.5, 4.5, 5.0]
    found = both.scores(images, [""] * 4)
    assert {axis: values.tolist() for axis, values in found.items()} == {"both.light": [1.0, 2.5, 4.5, 5.0]}
    assert not one.differentiable
    assert as_it_was.differentiable


class Third(Grey):
    name = "third"


def test_what_does_not_fit_is_named(scale: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no reward is called 'gray'; .*grey"):
        on_scale([Grey()], {"gray": scale})
    dark = Grey()
    dark.axis = "dark"
    with pytest.raises(UserError, match="calibrates light, but 'grey' judges dark"):
        on_scale([dark], {"grey": scale})
    with pytest.raises(UserError, match=r"cannot read .*absent\.json"):
        on_scale([Grey()], {"grey": tmp_path / "absent.json"})


def test_score_and_leaderboard_show_ratings(scale: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for index, light in enumerate((0.2, 0.6)):
        save_image(torch.full((3, 8, 8), light), images / f"{index}.png")
        (images / f"{index}.txt").write_text(f"picture {index}")
    reward, out = f"{__name__}:Grey", tmp_path / "scores.jsonl"
    shown = ["--calibration", "grey", str(scale)]
    assert run(["score", "--images", str(images), "--rewards", reward, *shown, "--out", str(out)]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["grey"] for row in rows] == pytest.approx([2.2, 4.2])
    board = ["leaderboard", "--entry", f"a={images}", "--judges", reward, *shown, "--out", str(tmp_path / "board")]
    assert run(board) == 0
    found = json.loads((tmp_path / "board" / "leaderboard.json").read_text())
    assert found["rankings"][0]["standings"][0]["mean"]["value"] == pytest.approx(3.2)
