"""When to stop: the judges fall while the trained reward rises, or the images go to pieces.

A reward that is climbed long enough is climbed where it is wrong (Gao et al. 2022, arXiv:2210.10760). Judges that are
never trained on, and statistics of the images, are measured on the same prompts from the same noise now and then.
Every rule compares image by image and speaks only where the 95 % interval does. A check is bad when

- gamed: since the best check the trained reward rose by a fifth of a standard deviation or more, and the judges' mean
  fell by as much, or one judge stands so far below the start;
- crashed: one judge is below the start by 0.3 standard deviations for certain, and the trained reward rose at all;
- lost: the mean is below the best, or a judge below the start, by a whole one for certain, whatever else happened;
- wrecked: the images are clipped, gaudy, full of fine patterns or all alike against the start, and the judges did not
  rise.

`patience` bad checks in a row stop the run; a crash stops it at once. A smaller fall without a rise is a stumble, from
which runs recover, and who rose again since the check before is recovering: neither counts. The best is the check the
judges' mean likes most, but none for which one judge paid a fifth of a standard deviation; it also stands where the
run's last check is bad, or the mean fell by a fifth since. Pure functions of what was measured, so a resumed run
decides the same.
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
LOSS = 1.0
"""Standard deviations that judges may fall, for certain, while the trained reward does not rise."""
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


@dataclass(frozen=True)
class Fall:
    """How somebody changed since then."""

    who: str
    since: str
    change: Estimate
    recovering: bool
    """Whether it rose again, for certain, since the check before."""

    @property
    def counts(self) -> bool:
        """Whether it is a fall for certain, and not too small to count."""
        return self.change.high < 0 and self.change.value <= -FALL

    def beyond(self, limit: float) -> bool:
        """Whether it fell further than that for certain, and is not on its way back."""
        return self.change.high < -limit and not self.recovering

    def __str__(self) -> str:
        return f"{self.who} fell since {self.since} ({figure(self.change)})"


@dataclass(frozen=True)
class Moved:
    """What changed: since the best check, and of every judge since the start."""

    since: int
    """The best check's step."""
    trained: Estimate
    mean: Fall
    judges: tuple[Fall, ...]

    @property
    def rose(self) -> bool:
        """Whether the trained reward rose, however little."""
        return self.trained.low > 0

    def falls(self) -> Iterator[str]:
        """Who falls where the trained reward rose for it, or fell too far for any excuse."""
        much = self.rose and self.trained.value >= FALL
        for fall, limit in ((self.mean, LOSS), *((each, CRASH if self.rose else LOSS) for each in self.judges)):
            if fall.beyond(limit) or (much and fall.counts and not fall.recovering):
                yield str(fall)

    @property
    def crashes(self) -> bool:
        """Whether one judge does, while the trained reward rose."""
        return self.rose and any(fall.beyond(CRASH) for fall in self.judges)

    @property
    def uneasy(self) -> bool:
        """Whether anybody is down while the trained reward rose, however little."""
        return self.rose and any(fall.counts for fall in (self.mean, *self.judges))

    @property
    def meanwhile(self) -> str:
        did = "rose" if self.rose else "fell" if self.trained.high < 0 else "did not move for certain"
        return f"the trained reward {did} since update {self.since} ({figure(self.trained)})"


def judge(checks: Sequence[Check], patience: int, last: int) -> Verdict:
    """Decide on the checks so far; the first is the start, and never bad.

    `patience` 0 never stops and never goes back; `last` is the run's last update, where there is nothing to stop.
    """
    start = top = before = checks[0]
    found: list[tuple[str, ...]] = []
    for check in checks:
        wreck = tuple(wrecked(start, check))
        if check.level > top.level and not (wreck or paid(top, check) or crashed(start, check)):
            top = check
        now = moved(start, top, before, check)
        found.append((*now.falls(), *wreck))
        before = check
    step, reasons = checks[-1].step, found[-1]
    ended = step == last
    if ended and not reasons and now.mean.counts:
        reasons = (str(now.mean),)
    lasting = patience < len(checks) and all(found[-patience:])
    stop = patience > 0 and not ended and (lasting or now.crashes)
    back = patience > 0 and bool(reasons) and (stop or ended)
    stands = top.step if back else step
    return Verdict(stop, step, top.step, stands, reasons, now.meanwhile, bool(reasons) or now.uneasy)


def moved(start: Check, top: Check, before: Check, now: Check) -> Moved:
    """Compare a check with the start, the best and the one before."""

    def fall(who: str, since: str, old: Values, last: Values, new: Values) -> Fall:
        return Fall(who, since, change(old, new), change(last, new).low > 0)

    mean = fall("the judges", f"update {top.step}", top.mean, before.mean, now.mean)
    judges = (
        fall(f"judge {name}", "the start", old, before.judges[name], now.judges[name])
        for name, old in start.judges.items()
    )
    return Moved(top.step, change(top.trained, now.trained), mean, tuple(judges))


def crashed(start: Check, now: Check) -> bool:
    """Whether one judge is far below the start, whatever else happened: such weights are never the best."""
    return any(change(old, now.judges[name]).high < -CRASH for name, old in start.judges.items())


def wrecked(start: Check, now: Check) -> Iterator[str]:
    """Say how the images went to pieces, unless the judges like them better."""
    if change(start.mean, now.mean).low > 0:
        return
    for name, (limit, what) in LIMITS.items():
        far = movement(name, start, now)
        if far.low > limit:
            yield f"{what} rose since the start ({figure(far)})"


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
