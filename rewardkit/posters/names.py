"""Names of the posters world for options of commands; imports no torch."""

from collections.abc import Mapping
from typing import Literal

Style = Literal["long", "short", "mixed"]

TEMPERATURE: Mapping[str, float] = {"alignment": 0.1, "aesthetic": 0.02, "text": 0.15}
"""Noise of the labels, in units of the gold score; ceilings are about 0.9 to 0.95 on `rewardkit posters` pairs."""
