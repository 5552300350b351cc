"""A run is a folder; killed at any moment, it resumes to the same weights.

    runs/mine/config.toml           every resolved option; `--config` reads it back
    runs/mine/versions.json         one entry per start: time, hardware, versions
    runs/mine/metrics.jsonl         one line per step
    runs/mine/checkpoints/step_000123/{name}.safetensors, meta.json

Two things make a resume exact. A checkpoint is written under a temporary name and renamed, so it is complete or absent;
and randomness has no state: a step's generator is made from (seed, step, stream).
"""

import dataclasses
import hashlib
import json
import math
import shutil
import sys
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from rewardkit.errors import UserError
from rewardkit.io.files import new_folder, read_json, space_for, write_bytes, write_json, write_text
from rewardkit.io.toml import to_toml
from rewardkit.training.tracker import Tracker, Tracking, installed, track
from rewardkit.training.versions import versions


@dataclass(frozen=True)
class Checkpoint:
    """The checkpoint of a step, on the CPU."""

    step: int
    tensors: dict[str, dict[str, Tensor]]
    meta: dict[str, Any]
    folder: Path


class Run:
    """An open run folder; make it with `Run.start`."""

    def __init__(self, folder: Path, seed: int, keep: int, tracker: Tracking | None, *, writes: bool = True) -> None:
        self.folder, self.seed, self.keep, self.tracker, self.writes = folder, seed, keep, tracker, writes

    @classmethod
    def start(
        cls,
        folder: Path | str,
        config: Any,
        *,
        resume: bool,
        keep: int = 2,
        tracker: Tracker = "none",
        writes: bool = True,
    ) -> "Run":
        """Open a run folder for a config dataclass; its field `seed` (0 without one) seeds every generator.

        `resume=True` continues from the newest readable checkpoint (from step 0 if there is none) and drops the metrics
        after it. Raises `UserError` if the folder has checkpoints and `resume` is false, because they would be mixed.
        If several processes share the folder, one of them `writes`; on the others saving and logging do nothing.
        """
        folder = Path(folder)
        installed(tracker)
        if _steps(folder) and not resume:
            raise UserError(f"{folder} already has a run; resume it (--resume), or choose another folder (--out)")
        if not writes:
            return cls(folder, int(_plain(config).get("seed", 0)), keep, None, writes=False)
        newest = latest(folder) if resume else None
        step = newest.step if newest else -1
        _write_start(folder, config)
        _drop_rows(folder / "metrics.jsonl", step)
        for leftover in (folder / "checkpoints").glob(".step_*"):
            shutil.rmtree(leftover, ignore_errors=True)  # a save that was killed
        opened = track(tracker, folder, _plain(config), step)
        return cls(folder, int(_plain(config).get("seed", 0)), keep, opened)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Append one line to metrics.jsonl (a NaN or infinity as null), and to the tracker if there is one."""
        if not self.writes:
            return
        row: dict[str, float | None] = {"step": step}
        row |= {name: float(value) if math.isfinite(value) else None for name, value in values.items()}
        path = self.folder / "metrics.jsonl"
        with space_for(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        if self.tracker is not None:
            self.tracker.log(step, values)

    def save(self, step: int, tensors: Mapping[str, Mapping[str, Tensor]], meta: Mapping[str, Any]) -> Path:
        """Save named groups of tensors, and `meta` (JSON values); keep the newest `keep` checkpoints.

        Raises `UserError` if the disk is full; earlier checkpoints are not changed.
        """
        target = self.folder / "checkpoints" / _name(step)
        if not self.writes:
            return target
        with new_folder(target) as folder:
            sizes = {}
            for name, group in tensors.items():
                own = {key: value.detach().cpu().contiguous().clone() for key, value in group.items()}
                data = safetensors.torch.save(own)
                (folder / f"{name}.safetensors").write_bytes(data)
                sizes[name] = len(data)
            (folder / "meta.json").write_text(json.dumps({"step": step, "sizes": sizes, "meta": dict(meta)}, indent=2))
        for old in _steps(self.folder)[: -self.keep]:
            shutil.rmtree(old, ignore_errors=True)
        return target

    def latest(self) -> Checkpoint | None:
        """Read the newest complete checkpoint; None if there is none yet."""
        return latest(self.folder)

    def generator(self, step: int, stream: str) -> torch.Generator:
        """Make a CPU generator that depends only on (seed, step, stream), so that a resumed step is the same."""
        digest = hashlib.sha256(f"{self.seed}/{step}/{stream}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)

    def write(self, name: str, value: Any) -> Path:
        """Write a JSON file into the run folder, atomically."""
        path = self.folder / name
        if self.writes:
            write_json(path, value)
        return path

    def close(self) -> None:
        """Flush the tracker; nothing else is open."""
        if self.tracker is not None:
            self.tracker.close()


def latest(folder: Path | str) -> Checkpoint | None:
    """Read the newest complete checkpoint of a run folder; report unreadable checkpoints on stderr."""
    for path in reversed(_steps(Path(folder))):
        try:
            return read_checkpoint(path)
        except UserError as error:
            print(f"skipped: {error}", file=sys.stderr)
    return None


def read_checkpoint(folder: Path | str) -> Checkpoint:
    """Read one checkpoint folder; raise `UserError` if a file is missing, truncated or unreadable."""
    folder = Path(folder)
    try:
        about = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        tensors = {}
        for name, size in about["sizes"].items():
            path = folder / f"{name}.safetensors"
            if path.stat().st_size != size:
                raise ValueError(f"{path.name} has {path.stat().st_size} bytes, not {size}")
            tensors[name] = safetensors.torch.load_file(path)
        return Checkpoint(about["step"], tensors, about["meta"], folder)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        safetensors.SafetensorError,
    ) as error:
        raise UserError(f"checkpoint {folder} cannot be read ({error}); delete it or use an older one") from error


def _name(step: int) -> str:
    return f"step_{step:06d}"


def _steps(folder: Path) -> list[Path]:
    """List the checkpoint folders, oldest first."""
    found = (folder / "checkpoints").glob("step_*")
    numbered = [path for path in found if path.name.removeprefix("step_").isdecimal()]
    return sorted(numbered, key=lambda path: int(path.name.removeprefix("step_")))


def _plain(config: Any) -> dict[str, Any]:
    return {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}


WHOLE = "delete that file, or start in another folder"


def _write_start(folder: Path, config: Any) -> None:
    """Write config.toml and add to versions.json; print which options changed since the last start."""
    path, text = folder / "config.toml", to_toml(config)
    if path.exists():
        try:
            before, now = tomllib.loads(path.read_text(encoding="utf-8")), tomllib.loads(text)
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"cannot read {path} ({error}); {WHOLE}") from error
        for key in sorted((before.keys() | now.keys()) - {"resume"}):
            if before.get(key) != now.get(key):
                print(f"{folder}: {key} was {before.get(key)!r}, is now {now.get(key)!r}", file=sys.stderr)
    write_text(path, text)
    about = folder / "versions.json"
    starts = read_json(about, WHOLE) if about.exists() else []
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    write_json(about, [*starts, {"started": started, **versions()}])


def _drop_rows(path: Path, step: int) -> None:
    """Keep the metrics up to a step; later lines (and a truncated line) will be written again."""
    if not path.exists():
        return
    kept = []
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and row.get("step", step + 1) <= step:
            kept.append(line)
    write_bytes(path, b"".join(kept))
