"""Numbers beside metrics.jsonl: TensorBoard's files, and wandb offline where it is installed."""

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from rewardkit.commands.cli import main
from rewardkit.errors import UserError
from rewardkit.training.run import Run
from rewardkit.training.tracker import Tracker


@dataclass(frozen=True)
class Config:
    """Two options."""

    seed: int = 3
    steps: int = 5


def logged(folder: Path, tracker: Tracker, *, resume: bool = False) -> Path:
    run = Run.start(folder, Config(), resume=resume, tracker=tracker)
    run.log(0, {"loss": 1.0})
    run.close()
    return folder


def test_tensorboard_when_asked_for(tmp_path: Path) -> None:
    assert list((logged(tmp_path / "run", "tensorboard") / "tensorboard").glob("events*"))
    assert not (logged(tmp_path / "plain", "none") / "tensorboard").exists()


def test_a_wandb_that_is_not_installed_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match=r"pip install 'rewardkit\[wandb\]', or use --tracker tensorboard$"):
        logged(tmp_path / "run", "wandb")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        "train-rm --data pairs.jsonl --out out",
        "refl --prompts prompts.txt --rewards ocr --out out",
        "pe sft --rows rows.jsonl --out out",
        "pe simpo --rows rows.jsonl --out out",
    ],
)
def test_every_trainer_asks_for_its_tracker_before_it_reads_anything(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.chdir(tmp_path)
    assert main([*words.split(), "--tracker", "wandb"]) == 2
    said = capsys.readouterr().err
    assert said == "rewardkit: wandb is not installed; pip install 'rewardkit[wandb]', or use --tracker tensorboard\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed")
@pytest.mark.filterwarnings("ignore")  # wandb's own
def test_wandb_offline_writes_into_the_folder_and_resumes_under_one_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    folder = logged(tmp_path / "run", "wandb")
    name = (folder / "wandb_id").read_text()
    logged(folder, "wandb", resume=True)
    assert (folder / "wandb_id").read_text() == name
    runs = list((folder / "wandb").glob(f"offline-run-*-{name}"))
    assert runs
    assert all(list(run.glob("*.wandb")) for run in runs)
