"""A signal to a real command: the update ends, a checkpoint is saved, and the line printed goes on to the same bits."""

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rewardkit.commands.cli import main
from rewardkit.data import PreferenceRecord, write_pairs
from rewardkit.diffusion.tiny.pipelines import tiny_sd3
from rewardkit.errors import Interrupted
from rewardkit.images import to_pil
from rewardkit.training import interrupt
from rewardkit.training.interrupt import Interrupt

ROOT = Path(__file__).resolve().parents[2]


def start(*words: str) -> subprocess.Popen[str]:
    """Start a command as a terminal would: a job started with & is born ignoring SIGINT."""
    return subprocess.Popen(
        [sys.executable, "-m", "rewardkit", *words],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def logged(out: Path) -> int:
    path = out / "metrics.jsonl"
    return len(path.read_text().splitlines()) if path.is_file() else 0


def interrupted(number: int, out: Path, *words: str) -> str:
    """Send a signal once the run has logged something; return the command that goes on with it."""
    deadline = time.monotonic() + 120
    with start(*words) as process:
        while not logged(out) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number, said
    last = said.splitlines()[-1]
    assert last.startswith("rewardkit: interrupted at update "), said
    saved = max(int(path.name.removeprefix("step_")) for path in (out / "checkpoints").iterdir())
    assert last.split()[4].rstrip(";") == str(saved)
    return last.partition("; resume with: ")[2]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    files = sorted(folder.rglob("*.safetensors"))
    return {f"{path.name}/{name}": value for path in files for name, value in load_file(path).items()}


def goes_on_to_the_same(number: int, tmp_path: Path, words: list[str], made: str) -> None:
    """Compare a run that was interrupted and gone on with by the line it printed to one that was not."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    line = interrupted(number, cut, *words, "--out", str(cut))
    assert line == shlex.join(["rewardkit", *words, "--out", str(cut), "--resume"])
    assert not (cut / made).exists()
    assert main(shlex.split(line)[1:]) == 0
    assert main([*words, "--out", str(whole)]) == 0
    one, other = weights(whole / made), weights(cut / made)
    assert one
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert (whole / "metrics.jsonl").read_text() == (cut / "metrics.jsonl").read_text()


def test_refl_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    tiny_sd3().save_pretrained(tmp_path / "base")
    (tmp_path / "prompts.txt").write_text("a red circle\na blue square\n")
    words = [
        "refl",
        "--base",
        str(tmp_path / "base"),
        "--prompts",
        str(tmp_path / "prompts.txt"),
        "--rewards",
        "colourfulness",
        "--updates",
        "10",
        "--batch-size",
        "2",
        "--steps",
        "3",
        "--rank",
        "2",
        "--lr",
        "0.01",
        "--grid-every",
        "0",
        "--save-every",
        "100",
        "--tracker",
        "none",
    ]
    goes_on_to_the_same(signal.SIGINT, tmp_path, words, "lora")


def test_train_rm_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    records = []
    for index in range(40):
        paths = tmp_path / f"{index}a.png", tmp_path / f"{index}b.png"
        for path in paths:
            to_pil(torch.rand(3, 16, 16, generator=generator)).save(path)
        records.append(PreferenceRecord(f"a poster {index}", *paths, {"aesthetic": float(index % 2)}, str(index)))
    write_pairs(tmp_path / "pairs.jsonl", records)
    words = [
        "train-rm",
        "--data",
        str(tmp_path / "pairs.jsonl"),
        "--encoder",
        "conv",
        "--augment",
        "flip",
        "--epochs",
        "5",
        "--batch-size",
        "4",
        "--patience",
        "1000",
        "--save-every-epochs",
        "1000",
        "--held-out",
        "0.2",
    ]
    goes_on_to_the_same(signal.SIGTERM, tmp_path, words, "rm")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_handlers_stand_inside_and_are_put_back(number: int) -> None:
    before = [signal.signal(one, signal.default_int_handler) for one in interrupt.SIGNALS]
    try:
        with Interrupt() as stop:
            assert not stop.due()
            signal.raise_signal(number)
            assert stop.due()
            with pytest.raises(Interrupted, match="interrupted at update 3") as caught:
                stop.leave(3)
        assert caught.value.exit_status == 128 + number
        assert [signal.getsignal(one) for one in interrupt.SIGNALS] == [signal.default_int_handler] * 2
    finally:
        for one, handler in zip(interrupt.SIGNALS, before, strict=True):
            signal.signal(one, handler)


def test_a_later_signal_stops_at_once_and_one_passed_on_twice_does_not() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Interrupt() as stop:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)  # as a launcher passes on what the terminal has sent already
            stop.since -= interrupt.SAME_SIGNAL
            with pytest.raises(KeyboardInterrupt) as caught:
                signal.raise_signal(signal.SIGINT)
        assert not isinstance(caught.value, Interrupted)
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_ignored_signal_stays_ignored_and_other_threads_install_nothing() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupt() as stop:
            signal.raise_signal(signal.SIGINT)
            assert not stop.due()
    finally:
        signal.signal(signal.SIGINT, before)
    found = in_thread(lambda: signal.getsignal(signal.SIGTERM))
    assert found == signal.getsignal(signal.SIGTERM)


def in_thread(look: Callable[[], object]) -> object:
    """Give what `look` sees within an `Interrupt` of another thread."""
    seen: list[object] = []

    def work() -> None:
        with Interrupt():
            seen.append(look())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return seen[0]
