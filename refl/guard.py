"""When to stop: the judges fall while the trained reward does not, or the images go to pieces.

A reward that is climbed long enough is climbed where it is wrong (Gao et al. 2022, arXiv:2210.10760). Judges that are
never trained on, and statistics of the images, are measured on the same prompts from the same noise now and then.
Every rule compares image by image and speaks only where the 95 % interval does. A check is bad when

- the judges' mean z-score is below that of the best check so far, by a fifth of a standard deviation or more;
- one judge has crashed: it fell against the start by 0.3 standard deviations for certain, whatever the others say;
- the images are clipped, gaudy, full of fine patterns or all alike against the start, and the judges did not rise.

`patience` bad checks in a row stop the run; a crash stops it at once, and at its end one bad check is enough to keep
the best weights instead. The best is the check the judges' mean likes most, but none for which one judge paid a fifth
of a standard deviation. Pure functions of what was measured, so a resumed run decides the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rewardkit.stats import Estimate, mean_interval

FALL = 0.2
"""Standard deviations that the judges' mean may fall below the best before it counts: less is too small an effect to
stop for, and the best look is partly the luckiest."""
CRASH = 0.3
"""Standard deviations that one judge may fall below the start, for certain, before it counts alone."""
LIMITS = {
    "clipping": (0.25, "clipped values"),
    "saturation": (0.25, "colour saturation"),
    "frequency": (float(np.log(3)), "high-frequency energy (its logarithm)"),
    "diversity": (0.5, "lost share of the pairwise feature distance"),
}
"""Probe -> how far it may move away from the start, and its name: the last one falls, the others rise."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Check:
    """What one moment's held-out images said, one number an image; NaN where a score does not apply to the prompt."""

    step: int
    trained: Values
    """Weighted mean of the trained rewards' z-scores."""
    judges: Mapping[str, Values]
    """z-scores on the start's images."""
    probes: Mapping[str, Values]

    @property
    def mean(self) -> Values:
        """Mean of the judges that apply to each prompt."""
        stacked = np.stack(list(self.judges.values()))
        known = np.isfinite(stacked)
        return np.asarray(np.where(known, stacked, 0).sum(0) / np.maximum(known.sum(0), 1))

    @property
    def level(self) -> float:
        return float(self.mean.mean())


@dataclass(frozen=True)
class Verdict:
    """What the guard makes of the checks so far."""

    stop: bool
    step: int
    """The newest check's."""
    best: int
    """The step whose weights stood best with the judges."""
    reasons: tuple[str, ...] = field(default=())
    """What is wrong with the newest check, with figures; empty when nothing is."""

    @property
    def sentence(self) -> str:
        if not self.reasons:
            return f"nothing found wrong up to update {self.step}"
        found = f"at update {self.step} {' and '.join(self.reasons)}"
        return f"stopped: {found}; the weights of update {self.best} stand" if self.stop else f"warning: {found}"


def judge(checks: Sequence[Check], patience: int) -> Verdict:
    """Decide on the checks so far; the first is the start, and never bad. Patience 0 never stops.

    The best is the check the judges like most, among those that broke nothing and that no judge paid for.
    """
    start = top = checks[0]
    found: list[tuple[str, ...]] = []
    for check in checks:
        wrong = (*crashed(start, check), *wrecked(start, check))
        if not wrong and check.level > top.level and not paid(top, check):
            top = check
        found.append((*fallen(top, check), *wrong))
    lasting = patience < len(checks) and all(found[-patience:])
    stop = patience > 0 and (lasting or any(crashed(start, checks[-1])))
    return Verdict(stop, checks[-1].step, top.step, found[-1])


def fallen(top: Check, now: Check) -> Iterator[str]:
    """Rule 1: the judges fell below the best."""
    fall = change(top.mean, now.mean)
    if fall.high < 0 and fall.value <= -FALL:
        gain = change(top.trained, now.trained)
        said = "rose" if gain.low > 0 else "fell" if gain.high < 0 else "did not move for certain"
        yield (
            f"the judges fell since update {top.step} ({figure(fall)}) while the trained reward {said} ({figure(gain)})"
        )


def crashed(start: Check, now: Check) -> Iterator[str]:
    """Rule 2: one judge crashed."""
    for name, before in start.judges.items():
        fall = change(before, now.judges[name])
        if fall.high < -CRASH:
            yield f"judge {name} fell since the start ({figure(fall)})"


def wrecked(start: Check, now: Check) -> Iterator[str]:
    """Rule 3: the images went to pieces."""
    if change(start.mean, now.mean).low > 0:
        return
    for name, (limit, what) in LIMITS.items():
        moved = movement(name, start, now)
        if moved.low > limit:
            yield f"{what} rose since the start ({figure(moved)})"


def paid(top: Check, now: Check) -> bool:
    """Whether a judge seems to have fallen since the best: what the others gained may be what fools them.

    To stop a run takes certainty; to prefer newer weights takes none against them.
    """
    return any(change(before, now.judges[name]).value <= -FALL for name, before in top.judges.items())


def movement(name: str, start: Check, now: Check) -> Estimate:
    """How far a probe went the wrong way."""
    if name == "diversity":
        return mean_interval((start.probes[name] - now.probes[name]) / max(float(start.probes[name].mean()), 1e-6))
    return change(start.probes[name], now.probes[name])


def change(before: Values, after: Values) -> Estimate:
    """Paired difference over the images that both speak about."""
    known = np.isfinite(before) & np.isfinite(after)
    return mean_interval(after[known] - before[known])


def figure(estimate: Estimate) -> str:
    """In standard deviations of the start's images, where it is of a reward."""
    return f"{estimate.value:+.2f} [{estimate.low:+.2f}, {estimate.high:+.2f}], n = {estimate.n}"
