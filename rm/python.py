"""`rm.train(...)`: train a reward model from Python, on files of pairs or on records in memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rewardkit.commands.keywords import config_of
from rewardkit.data import Record
from rewardkit.encoders import Encoder
from rewardkit.errors import UserError
from rewardkit.io.files import as_path
from rm.command import train_parts
from rm.config import RmConfig
from rm.model import RewardModel


def train(
    data: str | Path | Sequence[str | Path] | Sequence[Record],
    out: Path | str,
    *,
    encoder: str | Encoder = "seedling",
    **options: Any,
) -> RewardModel:
    """Train a reward model on preference pairs, write it to the folder `out/rm`, and return it, ready to score.

    `data` are sources of pairs (docs/data.md) or records in memory. The encoder is a name, a folder or an object, which
    is trained in place if it is not frozen; the heads then have another initialisation than with its name. `options`
    are the fields of `RmConfig` (docs/train-rm.md). Raises `UserError` for invalid input.
    """
    given = [data] if isinstance(data, str | Path) else data
    named = [item for item in given if isinstance(item, str | Path)]
    records = [item for item in given if not isinstance(item, str | Path)]
    if named and records:
        raise UserError("data must be sources of pairs or records in memory; got both")
    config = {
        "data": tuple(map(Path, named)),
        "out": as_path(out, "out"),
        "encoder": encoder if isinstance(encoder, str) else encoder.reference or type(encoder).__name__,
    }
    made = None if isinstance(encoder, str) else encoder
    train_parts(config_of("train-rm", RmConfig, config | options), None if named else records, made)
    return RewardModel.load(Path(out) / "rm")
