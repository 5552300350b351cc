"""Run folders: a checkpoint is whole or absent, whatever happens, and a resumed run is the run that was not stopped."""

import dataclasses
import json
import os
import resource
import runpy
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from rewardkit.errors import UserError
from rewardkit.io.files import new_folder, write_text
from rewardkit.training.run import Run, latest, read_checkpoint

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Config:
    """A run's options."""

    steps: int = 6
    seed: int = 3
    out: Path = Path("o")
    resume: bool = False


def weights(value: float, size: int = 4) -> dict[str, dict[str, torch.Tensor]]:
    return {"lora": {"a": torch.full((size,), value)}, "optimizer": {"step": torch.tensor(int(value))}}


def rows(run: Run) -> list[int]:
    lines = (run.folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.start(tmp_path / "run", Config(), resume=False)


def test_a_start_writes_what_was_resolved_and_on_what(run: Run) -> None:
    assert tomllib.loads((run.folder / "config.toml").read_text()) == {
        "steps": 6,
        "seed": 3,
        "out": "o",
        "resume": False,
    }
    (start,) = json.loads((run.folder / "versions.json").read_text())
    assert start["packages"]["torch"] == torch.__version__.split("+")[0]
    assert start["python"] == sys.version.split()[0]


def test_a_checkpoint_reads_back_bit_for_bit(run: Run) -> None:
    shared = torch.randn(4, 4)
    group = {
        "t": shared.T,
        "same": shared,
        "half": shared.half(),
        "count": torch.tensor(7),
        "rng": torch.get_rng_state(),
    }
    run.save(5, {"lora": group, "empty": {}}, {"best": 0.5, "names": ["x"]})
    got = run.latest()
    assert got is not None
    assert (got.step, got.meta) == (5, {"best": 0.5, "names": ["x"]})
    assert got.tensors["empty"] == {}
    for name, value in group.items():
        assert torch.equal(got.tensors["lora"][name], value)
        assert got.tensors["lora"][name].dtype == value.dtype


def test_the_newest_are_kept(run: Run) -> None:
    for step in (1, 2, 10):
        run.save(step, weights(step), {})
    assert sorted(path.name for path in (run.folder / "checkpoints").iterdir()) == ["step_000002", "step_000010"]


def test_saving_a_step_again_replaces_it(run: Run) -> None:
    for value in (1.0, 2.0):
        run.save(3, weights(value), {})
    got = run.latest()
    assert got is not None
    assert got.tensors["lora"]["a"][0] == 2
    assert len(list((run.folder / "checkpoints").iterdir())) == 1


@pytest.mark.parametrize("harm", ["cut", "empty", "no meta", "no tensors", "garbage"])
def test_an_unreadable_checkpoint_is_passed_over_and_said(
    harm: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run.save(1, weights(1), {})
    newest = run.save(2, weights(2), {})
    file = newest / "lora.safetensors"
    data = file.read_bytes()
    match harm:
        case "cut":
            file.write_bytes(data[:-3])
        case "empty":
            file.write_bytes(b"")
        case "no meta":
            (newest / "meta.json").unlink()
        case "no tensors":
            file.unlink()
        case "garbage":
            file.write_bytes(b"\xff" * len(data))
    got = run.latest()
    assert got is not None
    assert got.step == 1
    assert "step_000002" in capsys.readouterr().err
    with pytest.raises(UserError, match="step_000002"):
        read_checkpoint(newest)


def test_a_second_run_in_the_same_folder_is_refused_unless_resumed(run: Run) -> None:
    Run.start(run.folder, Config(), resume=False)  # nothing saved yet: nothing to mix
    run.save(1, weights(1), {})
    with pytest.raises(UserError, match=r"already has a run.*--resume"):
        Run.start(run.folder, Config(), resume=False)
    assert Run.start(run.folder, Config(), resume=True).latest() is not None


def test_resume_drops_the_metrics_past_the_checkpoint(run: Run) -> None:
    for step in range(4):
        run.log(step, {"loss": 1.0})
        if step == 1:
            run.save(step, weights(step), {})
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')  # a kill in the middle of a line
    again = Run.start(run.folder, Config(), resume=True)
    assert rows(again) == [0, 1]
    again.log(2, {"loss": 1.0})
    assert rows(again) == [0, 1, 2]


def test_resume_without_a_checkpoint_starts_over(run: Run) -> None:
    run.log(0, {"loss": 1.0})
    assert rows(Run.start(run.folder, Config(), resume=True)) == []


def test_a_changed_option_is_said_at_resume(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run.save(1, weights(1), {})
    Run.start(run.folder, dataclasses.replace(Config(), steps=9, resume=True), resume=True)
    assert "steps was 6, is now 9" in capsys.readouterr().err


def test_metrics_are_json_even_when_not_finite(run: Run) -> None:
    run.log(0, {"loss": float("nan"), "grad": 2.0})
    assert json.loads((run.folder / "metrics.jsonl").read_text()) == {"step": 0, "loss": None, "grad": 2.0}


def test_a_generator_depends_on_seed_step_and_stream_only(run: Run, tmp_path: Path) -> None:
    def draw(of: Run, step: int, stream: str) -> list[float]:
        return torch.rand(3, generator=of.generator(step, stream)).tolist()

    same = Run.start(tmp_path / "same", Config(), resume=False)
    other = Run.start(tmp_path / "other", dataclasses.replace(Config(), seed=4), resume=False)
    assert draw(run, 7, "noise") == draw(same, 7, "noise")
    draws = [draw(run, 7, "noise"), draw(run, 8, "noise"), draw(run, 7, "window"), draw(other, 7, "noise")]
    assert len({tuple(values) for values in draws}) == 4


def test_a_folder_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    write_text(tmp_path / "f" / "old.txt", "old")

    def fill() -> None:
        with new_folder(tmp_path / "f") as folder:
            (folder / "new.txt").write_text("new")
            raise KeyError("stop")

    with pytest.raises(KeyError):
        fill()
    assert [path.name for path in tmp_path.rglob("*")] == ["f", "old.txt"]


LOOP = """
import sys
from dataclasses import dataclass
from pathlib import Path
import torch
from rewardkit.training.run import Run

@dataclass(frozen=True)
class Config:
    seed: int = 3

folder, steps, size, resume = Path(sys.argv[1]), int(sys.argv[2]), 2_000_000, sys.argv[3] == "resume"
run = Run.start(folder, Config(), resume=resume)
newest = run.latest()
value = newest.tensors["w"]["w"] if newest else torch.zeros(size)
for step in range(newest.step + 1 if newest else 0, steps):
    value = value * 0.9 + torch.randn(size, generator=run.generator(step, "noise"))
    run.log(step, {"mean": value.mean().item()})
    run.save(step, {"w": {"w": value}}, {})
"""


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a training loop to its end, in this process."""
    script = tmp_path / "loop.py"
    script.write_text(LOOP)

    def whole(folder: Path, steps: int, mode: str) -> None:
        monkeypatch.setattr(sys, "argv", [str(script), str(folder), str(steps), mode])
        runpy.run_path(str(script))

    return whole


def killed_while_saving(folder: Path, script: Path) -> None:
    """Start the loop elsewhere and send SIGKILL in the middle of a save, once a few are done."""
    words = [sys.executable, str(script), str(folder), "10000", "start"]
    with subprocess.Popen(words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}) as child:
        deadline = time.monotonic() + 60
        while not list(folder.glob("checkpoints/.step_*")) or len(list(folder.glob("checkpoints/step_*"))) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.0005)
        child.send_signal(signal.SIGKILL)


def test_killed_while_saving_it_resumes_to_the_same_weights(tmp_path: Path, loop: Callable[..., None]) -> None:
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    killed_while_saving(cut, tmp_path / "loop.py")
    before = latest(cut)
    assert before is not None
    steps = before.step + 3
    loop(cut, steps, "resume")
    loop(whole, steps, "start")
    resumed, expected = latest(cut), latest(whole)
    assert resumed is not None
    assert expected is not None
    assert resumed.step == expected.step == steps - 1
    assert torch.equal(resumed.tensors["w"]["w"], expected.tensors["w"]["w"])
    assert (cut / "metrics.jsonl").read_text() == (whole / "metrics.jsonl").read_text()
    assert not list(cut.glob("checkpoints/.*"))


@pytest.fixture
def small_files() -> Iterator[None]:
    """Let no file grow past 100 kB: to the program, a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
def test_a_full_disk_is_one_line_and_the_last_checkpoint_stays(run: Run) -> None:
    run.save(1, weights(1), {})
    with pytest.raises(UserError, match=r"no space left to write .*step_000002.*saved before is intact"):
        run.save(2, weights(2, size=50_000), {})
    got = run.latest()
    assert got is not None
    assert got.step == 1
    assert [path.name for path in (run.folder / "checkpoints").iterdir()] == ["step_000001"]
    with pytest.raises(UserError, match=r"no space left to write .*big\.json"):
        run.write("big.json", "x" * 200_000)
    assert not (run.folder / "big.json").exists()
