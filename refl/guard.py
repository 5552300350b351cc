"""When to stop: the judges fall while the trained reward rises, or the images go to pieces.

A reward that is climbed long enough is climbed where it is wrong (Gao et al. 2022, arXiv:2210.10760). Judges that are
never trained on, and statistics of the images, are measured on the same prompts from the same noise now and then.
Every rule compares image by image and speaks only where the 95 % interval does. A check is bad when

- gamed: since the best check the trained reward rose by a fifth of a standard deviation or more, and the judges' mean
  fell by as much, or one judge stands so far below the start;
- crashed: one judge is below the start by 0.3 standard deviations for certain, and the trained reward rose at all;
- lost: the mean is below the best, or a judge below the start, by 0.6 for certain, whatever the trained reward did;
- wrecked: the images are clipped, gaudy, full of fine patterns or all alike against the start, and the judges did not
  rise.

`patience` bad checks in a row stop the run; a crash stops it at once. A smaller fall without a rise is a stumble, from
which runs recover. The best is the check the judges' mean likes most, but none for which one judge paid a fifth of a
standard deviation; it also stands where the run's last check is bad, or the mean fell by a fifth since. Pure functions
of what was measured, so a resumed run decides the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rewardkit.stats import Estimate, mean_interval

FALL = 0.2
"""Standard deviations that count, of a fall and of the rise it is held against: less is too small an effect to stop
for, and the best look is partly the luckiest."""
CRASH = 0.3
"""Standard deviations that one judge may fall below the start, for certain, before any rise is suspicious."""
LOSS = 0.6
"""Standard deviations that judges may fall, for certain, without a rise."""
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
    """Whether the run ends here, before its last update."""
    step: int
    """The newest check's."""
    best: int
    """The step whose weights stood best with the judges."""
    stands: int
    """The step whose weights are the run's, were it to end here: the best's or the newest."""
    reasons: tuple[str, ...] = field(default=())
    """What is wrong with the newest check, with figures; empty when nothing is."""
    meanwhile: str = ""
    """What the trained reward did since the best."""
    uneasy: bool = False
    """Whether to look again soon: the newest check is bad, or may be about to be."""

    @property
    def sentence(self) -> str:
        if not self.reasons:
            return f"nothing found wrong up to update {self.step}"
        found = f"at update {self.step} {' and '.join(self.reasons)}, while {self.meanwhile}"
        if self.stands == self.step:
            return f"warning: {found}"
        kept = f"the weights of update {self.stands} stand" if self.stands else "the start stands: no look was better"
        return f"{'stopped' if self.stop else 'warning'}: {found}; {kept}"


def judge(checks: Sequence[Check], patience: int, last: int) -> Verdict:
    """Decide on the checks so far; the first is the start, and never bad.

    `patience` 0 never stops and never goes back; `last` is the run's last update, where there is nothing to stop.
    """
    start = top = checks[0]
    found: list[tuple[str, ...]] = []
    for check in checks:
        broken = any(below(start, check)) or any(wrecked(start, check))
        if not broken and check.level > top.level and not paid(top, check):
            top = check
        found.append((*fallen(start, top, check), *wrecked(start, check)))
    newest = checks[-1]
    lasting = patience < len(checks) and all(found[-patience:])
    stop = patience > 0 and newest.step < last and (lasting or crashed(start, top, newest))
    reasons = found[-1] or tuple(worse(top, newest)) if newest.step == last else found[-1]
    back = patience > 0 and bool(reasons) and (stop or newest.step == last)
    closer = bool(reasons) or uneasy(start, top, newest)
    stands = top.step if back else newest.step
    return Verdict(stop, newest.step, top.step, stands, reasons, told(top, newest), closer)


def fallen(start: Check, top: Check, now: Check) -> Iterator[str]:
    """Name who fell further than what was gained meanwhile excuses: gamed, crashed or lost."""
    gain = change(top.trained, now.trained)
    gamed = gain.low > 0 and gain.value >= FALL
    crash = CRASH if gain.low > 0 else LOSS
    mean = change(top.mean, now.mean)
    if mean.high < -LOSS or (gamed and small(mean)):
        yield f"the judges fell since update {top.step} ({figure(mean)})"
    for name, fall in falls(start, now):
        if fall.high < -crash or (gamed and small(fall)):
            yield f"judge {name} fell since the start ({figure(fall)})"


def uneasy(start: Check, top: Check, now: Check) -> bool:
    """Whether anybody fell while the trained reward rose, however little it rose."""
    fell = [change(top.mean, now.mean), *(fall for _, fall in falls(start, now))]
    return change(top.trained, now.trained).low > 0 and any(map(small, fell))


def crashed(start: Check, top: Check, now: Check) -> bool:
    """Whether one judge crashed while the trained reward rose: that stops at once."""
    return change(top.trained, now.trained).low > 0 and any(below(start, now))


def below(start: Check, now: Check) -> Iterator[str]:
    """Name the judges that crashed, whatever was gained."""
    return (name for name, fall in falls(start, now) if fall.high < -CRASH)


def worse(top: Check, now: Check) -> Iterator[str]:
    """Say so where the judges' mean is below the best, whatever was gained."""
    mean = change(top.mean, now.mean)
    if small(mean):
        yield f"the judges had fallen since update {top.step} ({figure(mean)})"


def falls(start: Check, now: Check) -> Iterator[tuple[str, Estimate]]:
    """Every judge's change since the start."""
    return ((name, change(before, now.judges[name])) for name, before in start.judges.items())


def small(fall: Estimate) -> bool:
    """Whether it is a fall, and not too small to count."""
    return fall.high < 0 and fall.value <= -FALL


def told(top: Check, now: Check) -> str:
    """Say what the trained reward did since the best."""
    gain = change(top.trained, now.trained)
    did = "rose" if gain.low > 0 else "fell" if gain.high < 0 else "did not move for certain"
    return f"the trained reward {did} since update {top.step} ({figure(gain)})"


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
