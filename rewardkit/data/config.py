"""Options of `rewardkit pairs degrade` and `rewardkit pairs check`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Range = tuple[float, float]


@dataclass(frozen=True)
class DegradeConfig:
    """Make preference pairs of photos and degraded copies; print how many were written and skipped."""

    photos: tuple[Path, ...]
    """Folders of photos."""
    out: Path
    """Folder to write: pairs.jsonl and images/."""
    crops: int = 40
    """Pairs per photo."""
    size: int = 96
    """Width and height of a crop in pixels; smaller photos are skipped and counted."""
    kinds: tuple[str, ...] = ("blur", "jpeg", "noise", "low_resolution")
    """Kinds of degradation."""
    blur: Range = (0.8, 2.5)
    """Standard deviation of the Gaussian blur, in pixels."""
    jpeg: Range = (10.0, 50.0)
    """JPEG quality, 1 to 95."""
    noise: Range = (6.0, 25.0)
    """Standard deviation of Gaussian noise, in levels of 255."""
    low_resolution: Range = (1.5, 4.0)
    """Factor by which the copy is shrunk before it is enlarged again."""
    min_change: float = 2.0
    """Smallest root mean square difference of photo and copy, in levels of 255; copies closer than this are redrawn."""
    max_bad: float = 0.0
    """Largest accepted fraction of unreadable photos."""
    seed: int = 0
    """Random seed; the same seed gives the same pairs."""


Depth = Literal["decode", "hash", "none"]
"""What is done to images: read and decode, read only, or nothing."""


@dataclass(frozen=True)
class CheckConfig:
    """Report format, label balance, ties, position bias, repeats, leaks between splits, long prompts and bad images."""

    data: tuple[Path, ...]
    """Files, folders, globs or hub ids (hub:OWNER/NAME@SPLIT[:N]) of pairs."""
    against: tuple[Path, ...] = ()
    """Another split to check against: prompts and images in both are reported as leaks."""
    columns: tuple[str, ...] = ()
    """Which column of the data is which, if they are not recognised: prompt=text first=left second=right label=vote. A
    label is P(first is better), or names the better image."""
    axis: str | None = None
    """Name of the axis if the data does not name one."""
    images: Depth = "decode"
    """decode: read and decode every image; hash: only read them; none: skip them."""
    encoder: str = "clip"
    """Encoder whose prompt length limit is checked: clip (77 tokens), or any encoder of train-rm, such as seedling."""
    out: Path | None = None
    """JSON file for the full report, with the name of every bad image and leak."""
