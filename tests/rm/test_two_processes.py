"""`train-rm` on two processes through gloo ends where one process ends on the same batch."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rewardkit.training.run import latest
from rm import RewardModel
from rm.command import train
from rm.config import RmConfig

ROOT = Path(__file__).resolve().parent.parent.parent
MakePairs = Callable[..., Path]

pytestmark = pytest.mark.slow


def on_two(*words: str) -> str:
    """Run the command on two processes; give what it printed."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*launcher, "-m", "rewardkit", "train-rm", *words],
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def same_models(folder: Path, other: Path) -> None:
    models = [RewardModel.load(one) for one in (folder, other)]
    torch.testing.assert_close(models[0].state_dict(), models[1].state_dict(), rtol=1e-3, atol=2e-5)
    for axis, (mean, std) in models[0].typical.items():
        assert models[1].typical[axis] == pytest.approx((mean, std), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("learns", [{}, {"lora_rank": 2, "encoder_lr": 1e-3}], ids=["frozen", "lora"])
def test_two_processes_train_what_one_does(
    make_pairs: MakePairs, encoder_folder: str, tmp_path: Path, learns: dict[str, Any]
) -> None:
    data = make_pairs(count=41)
    options: dict[str, Any] = {"encoder": encoder_folder, "epochs": 2, "batch_size": 12, "held_out": 0.25, **learns}
    # One process in two parts draws the same views and wrong prompts as two processes.
    train(RmConfig(data=(data,), out=tmp_path / "one", accumulate=2, save_every_epochs=1, **options))
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    said = on_two(f"--data={data}", f"--out={tmp_path / 'two'}", "--save-every=1", *flags)
    same_models(tmp_path / "one" / "rm", tmp_path / "two" / "rm")
    assert said.count("reward model in") == 1
    one, two = ((tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("one", "two"))
    assert [json.loads(row) for row in two] == [pytest.approx(json.loads(row), rel=1e-3, abs=1e-4) for row in one]

    # Killed after the first epoch, two processes go on to the same weights, bit for bit.
    whole = RewardModel.load(tmp_path / "two" / "rm").state_dict()
    newest = latest(tmp_path / "two")
    assert newest is not None
    for file in newest.folder.iterdir():
        file.unlink()
    on_two(f"--data={data}", f"--out={tmp_path / 'two'}", "--save-every=1", "--resume", *flags)
    torch.testing.assert_close(RewardModel.load(tmp_path / "two" / "rm").state_dict(), whole, rtol=0, atol=0)
