"""When to stop: the judges fall while the trained reward rises, or the images break down.

A reward that is optimised for long enough is exploited where it is wrong (Gao et al. 2022, arXiv:2210.10760). Judges,
which never train, and statistics of the images are measured at intervals on the same prompts and noise. Every rule
compares image by image and applies only if the 95 % interval supports it. A check is bad when

- gamed: since the best check the trained reward rose by a fifth of a standard deviation or more, and the mean of
  the judges fell by as much, or one judge is that far below the start;
- crashed: the interval of one judge is 0.3 standard deviations below the start, and the trained reward rose at all;
- lost: the interval of the mean is one standard deviation below the best, or that of a judge one below the start;
- wrecked: compared with the start the images are clipped, oversaturated, full of fine patterns or all alike, and the
  judges did not rise.

`patience` bad checks in a row stop the run; a crash stops it at once. Two kinds of falls do not count: a smaller fall
without a rise of the trained reward, because runs recover from it, and the fall of a judge that rose again since the
previous check. The best check has the highest mean of the judges, of all checks at which no judge lost a fifth of a
standard deviation. Its weights are also kept if the last check of the run is bad, or if the mean fell by a fifth since
then. All functions are pure, so a resumed run decides the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rewardkit.stats import Estimate, mean_interval

FALL = 0.2
"""Smallest fall and rise that count, in standard deviations. Less is too small an effect to stop for, and the best
check is partly luck."""
CRASH = 0.3
"""Fall of one judge below the start, in standard deviations, that counts with any rise of the trained reward."""
LOSS = 1.0
"""Accepted fall of the judges, in standard deviations, while the trained reward does not rise."""
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
    """Scores of the held-out images at one update, one number per image; NaN if a score does not apply."""

    step: int
    trained: Values
    """Weighted mean of the trained rewards' z-scores."""
    judges: Mapping[str, Values]
    """z-scores, normalised on the images of the start."""
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
    """The decision of the guard after the checks so far."""

    stop: bool
    """Whether the run ends here, before its last update."""
    step: int
    """The update of the newest check."""
    best: int
    """The update whose weights the judges scored best."""
    stands: int
    """The update whose weights are kept if the run ends here: the best or the newest."""
    reasons: tuple[str, ...] = field(default=())
    """What is wrong with the newest check, with numbers; empty if nothing is."""
    meanwhile: str = ""
    """How the trained reward changed since the best check."""
    doubtful: bool = False
    """Whether to check again soon: the newest check is bad or close to it."""

    @property
    def sentence(self) -> str:
        if not self.reasons:
            return f"nothing found wrong up to update {self.step}"
        found = f"at update {self.step} {' and '.join(self.reasons)}, while {self.meanwhile}"
        if self.stands == self.step:
            return f"warning: {found}"
        kept = f"the weights of update {self.stands} are kept" if self.stands else "the start is kept, no check beat it"
        return f"{'stopped' if self.stop else 'warning'}: {found}; {kept}"


@dataclass(frozen=True)
class Fall:
    """How one judge, or their mean, changed since an earlier check."""

    who: str
    since: str
    change: Estimate
    recovering: bool
    """Whether it rose since the previous check, with its interval above zero."""

    @property
    def counts(self) -> bool:
        """Whether it fell with its interval below zero, and by enough to count."""
        return self.change.high < 0 and self.change.value <= -FALL

    def beyond(self, limit: float) -> bool:
        """Whether its interval is further down than `limit`, and it is not recovering."""
        return self.change.high < -limit and not self.recovering

    def __str__(self) -> str:
        return f"{self.who} fell since {self.since} ({figure(self.change)})"


@dataclass(frozen=True)
class Moved:
    """Changes since the best check, and of every judge since the start."""

    since: int
    """The update of the best check."""
    trained: Estimate
    mean: Fall
    judges: tuple[Fall, ...]

    @property
    def rose(self) -> bool:
        """Whether the trained reward rose, by any amount."""
        return self.trained.low > 0

    def falls(self) -> Iterator[str]:
        """Name the falls that count: with a rise of the trained reward, or too large in any case."""
        much = self.rose and self.trained.value >= FALL
        for fall, limit in ((self.mean, LOSS), *((each, CRASH if self.rose else LOSS) for each in self.judges)):
            if fall.beyond(limit) or (much and fall.counts and not fall.recovering):
                yield str(fall)

    @property
    def crashes(self) -> bool:
        """Whether one judge crashed while the trained reward rose."""
        return self.rose and any(fall.beyond(CRASH) for fall in self.judges)

    @property
    def doubtful(self) -> bool:
        """Whether any judge fell while the trained reward rose, by any amount."""
        return self.rose and any(fall.counts for fall in (self.mean, *self.judges))

    @property
    def meanwhile(self) -> str:
        did = "rose" if self.rose else "fell" if self.trained.high < 0 else "did not move for certain"
        return f"the trained reward {did} since update {self.since} ({figure(self.trained)})"


def judge(checks: Sequence[Check], patience: int, last: int) -> Verdict:
    """Decide on the checks so far; the first is the start, and never bad.

    With `patience` 0 it never stops and never goes back. At `last`, the last update, there is nothing to stop.
    """
    start = top = before = checks[0]
    found: list[tuple[str, ...]] = []
    for check in checks:
        broken = tuple(wrecked(start, check))
        if check.level > top.level and not (broken or paid(top, check) or crashed(start, check)):
            top = check
        now = moved(start, top, before, check)
        found.append((*now.falls(), *broken))
        before = check
    step, reasons = checks[-1].step, found[-1]
    ended = step == last
    if ended and not reasons and now.mean.counts:
        reasons = (str(now.mean),)
    lasting = patience < len(checks) and all(found[-patience:])
    stop = patience > 0 and not ended and (lasting or now.crashes)
    back = patience > 0 and bool(reasons) and (stop or ended)
    stands = top.step if back else step
    return Verdict(stop, step, top.step, stands, reasons, now.meanwhile, bool(reasons) or now.doubtful)


def moved(start: Check, top: Check, before: Check, now: Check) -> Moved:
    """Compare a check with the start, the best check and the previous one."""

    def fall(who: str, since: str, old: Values, last: Values, new: Values) -> Fall:
        return Fall(who, since, change(old, new), change(last, new).low > 0)

    mean = fall("the judges", f"update {top.step}", top.mean, before.mean, now.mean)
    judges = (
        fall(f"judge {name}", "the start", old, before.judges[name], now.judges[name])
        for name, old in start.judges.items()
    )
    return Moved(top.step, change(top.trained, now.trained), mean, tuple(judges))


def crashed(start: Check, now: Check) -> bool:
    """Whether one judge is far below the start. Such weights are never the best."""
    return any(change(old, now.judges[name]).high < -CRASH for name, old in start.judges.items())


def wrecked(start: Check, now: Check) -> Iterator[str]:
    """Describe how the images broke down, unless the judges score them higher."""
    if change(start.mean, now.mean).low > 0:
        return
    for name, (limit, what) in LIMITS.items():
        far = movement(name, start, now)
        if far.low > limit:
            yield f"{what} rose since the start ({figure(far)})"


def paid(top: Check, now: Check) -> bool:
    """Whether a judge seems to have fallen since the best check, because what the others gained may exploit them.

    Stopping a run needs a clear interval. Preferring newer weights needs no sign against them.
    """
    return any(change(before, now.judges[name]).value <= -FALL for name, before in top.judges.items())


def movement(name: str, start: Check, now: Check) -> Estimate:
    """How far a probe moved in the bad direction."""
    if name == "diversity":
        return mean_interval((start.probes[name] - now.probes[name]) / max(float(start.probes[name].mean()), 1e-6))
    return change(start.probes[name], now.probes[name])


def change(before: Values, after: Values) -> Estimate:
    """Paired difference over the images that have both scores."""
    known = np.isfinite(before) & np.isfinite(after)
    return mean_interval(after[known] - before[known])


def figure(estimate: Estimate) -> str:
    """Format an estimate; those of rewards are in standard deviations of the images of the start."""
    return f"{estimate.value:+.2f} [{estimate.low:+.2f}, {estimate.high:+.2f}], n = {estimate.n}"
