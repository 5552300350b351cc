"""The loop over updates: what is logged and when it is saved, a stop of one's own, and one by a signal."""

import json
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from rewardkit.errors import Interrupted
from rewardkit.training.learner import Learner
from rewardkit.training.loop import Loop
from rewardkit.training.run import Run
from rewardkit.training.schedule import shares


@dataclass(frozen=True)
class Config:
    seed: int = 0


class Training:
    """One weight that learns in a run folder; `log` says what happened, in order."""

    def __init__(self, out: Path, signal_at: int = 0, stop_at: int = 99) -> None:
        weight = torch.nn.Parameter(torch.ones(1))
        optimizer = torch.optim.SGD([weight], lr=0.1)
        self.weight, self.signal_at, self.stop_at = weight, signal_at, stop_at
        self.run = Run.start(out, Config(), resume=True)
        self.learner = Learner({"weight": weight}, {"optimizer": optimizer}, shares(lambda step: 1.0))
        newest = self.run.latest()
        if newest:
            self.learner.load(newest.step, newest.tensors)
        self.log: list[str] = []

    def update(self) -> tuple[dict[str, float], dict[str, float]]:
        self.learner.update(self.weight.square().sum())
        if self.learner.step == self.signal_at:
            signal.raise_signal(signal.SIGINT)
        return {"weight": self.weight.item()}, {}

    def save(self) -> None:
        self.run.save(self.learner.step, self.learner.state(), {})
        self.log.append(f"saved {self.learner.step}")

    def train(self) -> "Training":
        loop = Loop(title="test", run=self.run, learner=self.learner, updates=5, save_every=2)
        loop.train(
            self.update,
            self.save,
            after=lambda last: self.log.append(f"after {self.learner.step} {last}"),
            stopped=lambda: self.learner.step >= self.stop_at,
        )
        return self


def rows(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_it_saves_where_it_is_time_and_after_the_last_update(tmp_path: Path) -> None:
    training = Training(tmp_path).train()
    assert training.log == [
        "after 1 False",
        "saved 2",
        "after 2 False",
        "after 3 False",
        "saved 4",
        "after 4 False",
        "saved 5",
        "after 5 True",
    ]
    assert [row["step"] for row in rows(tmp_path)] == [1, 2, 3, 4, 5]
    assert Training(tmp_path).train().log == []  # nothing is left to do


def test_a_stop_of_ones_own_is_the_last_update(tmp_path: Path) -> None:
    assert Training(tmp_path, stop_at=3).train().log[-2:] == ["saved 3", "after 3 True"]


def test_a_signal_saves_its_update_and_the_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    whole = Training(tmp_path / "whole").train()
    cut = Training(tmp_path / "cut", signal_at=3)
    with pytest.raises(Interrupted, match="at update 3"):
        cut.train()
    assert cut.log[-2:] == ["saved 3", "after 3 False"]
    resumed = Training(tmp_path / "cut").train()
    assert torch.equal(whole.weight, resumed.weight)
    assert rows(tmp_path / "whole") == rows(tmp_path / "cut")
