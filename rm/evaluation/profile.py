"""The cost of scoring: seconds per image, and peak memory."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

STATUS = Path("/proc/self/status")
RESET_PEAK = Path("/proc/self/clear_refs")


@dataclass
class Profile:
    """Time and memory of a judge on images that are already read, decoded and framed."""

    images: int = 0
    seconds: float = 0.0
    peak_bytes: int = 0
    """Peak memory above what was in use before the judge was loaded: of the GPU, or of the process."""
    device: str = "cpu"

    @property
    def per_image(self) -> float:
        """Seconds per image; NaN before the first."""
        return self.seconds / self.images if self.images else float("nan")

    @contextmanager
    def clock(self, images: int) -> Iterator[None]:
        """Count the images scored inside the block, and their time."""
        wait(self.device)
        start = time.perf_counter()
        yield
        wait(self.device)
        self.seconds += time.perf_counter() - start
        self.images += images


@contextmanager
def measured(device: str) -> Iterator[Profile]:
    """Yield a profile to time with; at the end of the block it has the peak memory inside."""
    profile = Profile(device=device)
    before = reset_peak(device)
    yield profile
    profile.peak_bytes = max(0, peak(device) - before)


def wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def reset_peak(device: str) -> int:
    """Reset the peak and return the bytes in use now; the peak of a process can only be reset on Linux."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    try:
        RESET_PEAK.write_text("5")
    except OSError:
        return peak(device)
    return peak(device)


def peak(device: str) -> int:
    """Return the peak bytes since the last reset, or since the process began if it cannot be reset."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    if STATUS.exists():
        line = next((line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:")), "")
        if line:
            return 1024 * int(line.split()[1])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
