"""A calibration as `rewardkit calibrate` saves it, ready to use."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewardkit.errors import UserError
from rewardkit.types import Scores
from rm.calibration import Scale

MARK = "rewardkit_calibration"
FORMAT = 1
FILE = "calibration.json"
"""Its name in a reward model's folder."""


@dataclass(frozen=True)
class Calibration:
    """What `calibrate` saved, ready to use."""

    scales: Mapping[str, Scale]
    temperatures: Mapping[str, float]

    def rate(self, axis: str, scores: Scores) -> Scores:
        """Turn raw scores to ratings from 1 to 5."""
        return self.scales[axis](scores)

    def prefer(self, axis: str, first: Scores, second: Scores) -> Scores:
        """Give P(the first image is better)."""
        return ((first - second) / self.temperatures[axis]).sigmoid()

    @classmethod
    def load(cls, path: Path | str) -> "Calibration":
        """Read a file that `calibrate` wrote; raise `UserError` for anything else."""
        try:
            found: Any = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError:
            found = None
        if not isinstance(found, dict) or found.get(MARK) != FORMAT:
            raise UserError(f"{path} is no calibration of this version; make one with rewardkit calibrate")
        axes = found["axes"].items()
        scales = {axis: Scale(tuple(one["scores"]), tuple(one["ratings"])) for axis, one in axes}
        return cls(scales, {axis: one["temperature"] for axis, one in axes})
