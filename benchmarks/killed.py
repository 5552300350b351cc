"""Does a refl run that is killed at a random moment end bit-identical? On a tiny random base, on the CPU.

A run of a few updates is done once without interruption. Then, repeatedly: start it in a new process, send SIGKILL
after a random fraction of that run's duration, read its folder, resume it to the end, compare weights and metrics.
`python -m benchmarks.killed --out runs/killed` prints the line of docs/refl.md.
"""

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from refl.command import train
from refl.config import ReflConfig
from rewardkit.diffusion.lora_file import WEIGHTS_NAME
from rewardkit.diffusion.tiny.pipelines import tiny_sd3
from rewardkit.training.run import latest


def quietly(config: ReflConfig) -> None:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        train(config)


def killed_after(config: ReflConfig, seconds: float) -> bool:
    """Run it in a child process and kill the child; return whether it was still running."""
    child = os.fork()  # everything is imported already, so only the run itself is timed
    if not child:
        quietly(config)
        os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def outcome(config: ReflConfig) -> tuple[dict[str, bytes], str]:
    weights = load_file(config.out / "lora" / WEIGHTS_NAME)
    bits = {name: value.numpy().tobytes() for name, value in weights.items()}
    return bits, (config.out / "metrics.jsonl").read_text()


def measure(whole: ReflConfig, kills: int, seed: int) -> list[dict[str, object]]:
    """Start, kill and resume runs until `kills` of them were killed while running; return one row per start."""
    warm = replace(whole, out=whole.out.with_name("warm"))
    quietly(warm)  # the first run in a process is slower
    shutil.rmtree(warm.out)
    began = time.monotonic()
    quietly(whole)
    length, expected = time.monotonic() - began, outcome(whole)
    chance, rows = random.Random(seed), list[dict[str, object]]()
    while sum(bool(row["killed"]) for row in rows) < kills:
        config = replace(whole, out=whole.out.with_name(f"killed-{len(rows)}"))
        seconds = chance.uniform(0, length)
        running = killed_after(config, seconds)
        left = latest(config.out) if config.out.is_dir() else None  # raises for a checkpoint that cannot be read
        quietly(replace(config, resume=(config.out / "config.toml").is_file()))
        rows.append(
            {
                "seconds": round(seconds, 2),
                "killed": running,
                "step": left.step if left else 0,
                "same": outcome(config) == expected,
            }
        )
        shutil.rmtree(config.out)
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--updates", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(words)
    torch.set_num_threads(1)  # a forked process has only its main thread
    options.out.mkdir(parents=True, exist_ok=True)
    tiny_sd3().save_pretrained(options.out / "base")
    (options.out / "prompts.txt").write_text("a red circle\na blue square\na green star\n")
    config = ReflConfig(
        prompts=options.out / "prompts.txt",
        base=str(options.out / "base"),
        out=options.out / "whole",
        rewards=("colourfulness",),
        updates=options.updates,
        batch_size=2,
        steps=3,
        rank=2,
        kl=0.1,
        warmup=2,
        lr=1e-2,
        grid_every=4,
        save_every=1,
    )
    shutil.rmtree(config.out, ignore_errors=True)
    rows = measure(config, options.kills, options.seed)
    killed = [row for row in rows if row["killed"]]
    same = sum(bool(row["same"]) for row in rows)
    steps = [int(str(row["step"])) for row in killed]
    print(
        f"{len(killed)} of {len(rows)} killed while running, after {min(steps)} to {max(steps)} updates; {same} equal"
    )
    return 0 if same == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
