"""What a resumed run must be: the same to the bit."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import torch

from rm import RewardModel
from rm.command import train
from rm.config import RmConfig


def resume_gives_the_same(config: RmConfig, tmp_path: Path) -> None:
    """Train whole, then cut the run before its last checkpoint and go on; checkpoints must be more than one."""
    train(config)
    whole = weights(config.out / "rm")
    cut = replace(config, out=tmp_path / "cut")
    shutil.copytree(config.out, cut.out)
    newest = max((cut.out / "checkpoints").iterdir())
    shutil.rmtree(newest)  # as if killed in the last epoch
    shutil.rmtree(cut.out / "rm")
    train(replace(cut, resume=True))
    for name, value in weights(cut.out / "rm").items():
        assert torch.equal(value, whole[name]), name
    rows = [json.loads(line) for line in (cut.out / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(1, config.epochs + 1))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return RewardModel.load(folder).state_dict()
