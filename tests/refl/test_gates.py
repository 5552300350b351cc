"""Gates: which prompts a reward speaks about, and what is said about a gate that cannot be."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from refl.gates import gated
from rewardkit.errors import UserError
from rewardkit.prompts import Prompt, read_prompts
from rewardkit.rewards.panel import Panel, Part

ROWS = [
    {"prompt": "a face", "category": "portrait", "rank": 1},
    {"prompt": "a hill", "category": "landscape", "rank": 2},
    {"prompt": 'a shop with "OPEN"', "category": "landscape", "rank": 1},
]
PROMPTS = [str(row["prompt"]) for row in ROWS]


class Two:
    name = "two"
    axes: tuple[str, ...] = ("aesthetic", "text")
    differentiable = True

    def scores(self, images: Tensor, prompts: Sequence[str]) -> dict[str, Tensor]:
        return {axis: images.mean((1, 2, 3)) for axis in self.axes}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "prompts.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in ROWS))
    return file


def read(*files: Path) -> dict[str, list[Prompt]]:
    return {str(file): read_prompts(file) for file in files}


def speaks(panel: Panel) -> dict[str, list[bool]]:
    return {name: mask.tolist() for name, mask in panel.gates(PROMPTS).items()}


def test_a_reward_speaks_about_the_prompts_of_its_gate(rows: Path) -> None:
    assert speaks(gated(Panel([Two()]), {}, read(rows))) == {
        "two.aesthetic": [True, True, True],
        "two.text": [False, False, True],
    }
    by_axis = gated(Panel([Two()]), {"aesthetic": "category=portrait", "two.text": "rank=1"}, read(rows))
    assert speaks(by_axis) == {"two.aesthetic": [True, False, False], "two.text": [False, False, True]}
    quoting = gated(Panel([Two()]), {"text": "category=portrait"}, read(rows))
    assert speaks(quoting)["two.text"] == [False, False, False]


def test_a_gate_keeps_the_loss_and_the_scale_to_its_prompts(rows: Path) -> None:
    panel = gated(
        Panel([Two()], {"two.aesthetic": Part(target=0.0)}),
        {"aesthetic": "category=landscape"},
        read(rows),
    )
    raw = {"two.aesthetic": torch.tensor([-9.0, -1.0, -3.0]), "two.text": torch.full((3,), 9.0)}
    assert panel.loss(raw, PROMPTS).item() == pytest.approx((1 + 3) / 3)
    one = {"two.aesthetic": raw["two.aesthetic"]}
    part = panel.fit(one, PROMPTS).part("two.aesthetic")
    assert part.mean == pytest.approx(-2.0)
    assert part.std == pytest.approx(2**0.5)
    narrow = gated(Panel([Two()]), {"aesthetic": "category=portrait"}, read(rows))
    with pytest.raises(UserError, match=r"applies to 1 of 3 prompts.*pass its gate"):
        narrow.fit(one, PROMPTS)


@pytest.mark.parametrize(
    ("gates", "words"),
    [
        ({"aesthetic": "portrait"}, "COLUMN=VALUE"),
        ({"aesthetic": "kind=portrait"}, "no column 'kind'.*category, rank"),
        ({"aesthetic": "category=portrit"}, "did you mean 'portrait'"),
        ({"looks": "category=portrait"}, "gates: no reward or axis is called 'looks'"),
    ],
)
def test_a_gate_that_cannot_be_is_refused(rows: Path, gates: dict[str, str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        gated(Panel([Two()]), gates, read(rows))


def test_prompts_of_every_file_count(rows: Path, tmp_path: Path) -> None:
    held = tmp_path / "held.jsonl"
    held.write_text(json.dumps({"prompt": "a smile", "category": "portrait"}))
    panel = gated(Panel([Two()]), {"aesthetic": "category=portrait"}, read(rows, held))
    assert panel.gates(["a smile", "a hill"])["two.aesthetic"].tolist() == [True, False]
