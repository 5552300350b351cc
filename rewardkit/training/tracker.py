"""Trackers for metrics besides metrics.jsonl: TensorBoard files, or Weights & Biases."""

import importlib.util
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from rewardkit.errors import UserError
from rewardkit.io.files import write_text

Tracker = Literal["none", "tensorboard", "wandb"]


@runtime_checkable
class Tracking(Protocol):
    """An open tracker."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record the metrics of a step."""
        ...

    def close(self) -> None:
        """Flush pending writes."""
        ...


def installed(name: Tracker) -> None:
    """Raise `UserError` for a tracker that is not installed; call it before anything is loaded."""
    if name == "wandb" and importlib.util.find_spec("wandb") is None:
        raise UserError("wandb is not installed; pip install 'rewardkit[wandb]', or use --tracker tensorboard")


def track(name: Tracker, folder: Path, options: Mapping[str, Any], step: int) -> Tracking | None:
    """Open a tracker for a folder; `step` is the last good one."""
    if name == "tensorboard":
        return TensorBoard(folder, step)
    if name == "wandb":
        return WandB(folder, options)
    return None


class TensorBoard:
    """Event files in the run's `tensorboard` folder; events after the last checkpoint of a killed run are purged."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        self.writer.close()


class WandB:
    """One wandb run per folder, in the project "rewardkit" unless WANDB_PROJECT is set.

    Its id is stored in the run's folder, so a resumed run continues in the same one; wandb drops steps that it already
    has. Without an account, WANDB_MODE=offline writes only to the folder.
    """

    def __init__(self, folder: Path, options: Mapping[str, Any]) -> None:
        wandb: Any = importlib.import_module("wandb")
        path = folder / "wandb_id"
        if not path.is_file():
            write_text(path, secrets.token_hex(8))
        plain = {
            name: value if isinstance(value, int | float | bool) else str(value) for name, value in options.items()
        }
        self.run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "rewardkit"),
            name=folder.name,
            dir=str(folder),
            config=plain,
            id=path.read_text(),
            resume="allow",
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log(dict(values), step=step)

    def close(self) -> None:
        self.run.finish()
