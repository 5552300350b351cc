"""The guard's rules on numbers made by hand, and its probes against closed forms."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from refl.guard.rules import LIMITS, Check, judge
from rewardkit.images.statistics import clipping, diversity, high_frequency, saturation

N = 24
LAST = 100
"""The run's last update; no check here is of it unless a test says so."""
NOISE = np.random.default_rng(0).normal(size=N)
STEADY = {name: np.full(N, 0.5) for name in LIMITS}


def check(
    step: int, judges: float | Sequence[float], trained: float = 0.0, spread: float = 0.1, **probes: float
) -> Check:
    """Images that differ among themselves by 1, and whose changes differ by `spread`."""
    levels = [judges] if isinstance(judges, float) else judges
    wobble = np.random.default_rng(step).normal(size=N)
    wobble = spread * (wobble - wobble.mean()) / wobble.std() if step else np.zeros(N)
    return Check(
        step,
        NOISE + trained + wobble,
        {f"judge-{i}": NOISE + level + wobble for i, level in enumerate(levels)},
        STEADY | {name: np.full(N, 0.5) + value for name, value in probes.items()},
    )


def test_a_reward_that_rises_while_the_judges_fall_stops_the_run_at_the_best() -> None:
    checks = [check(0, 0.0), check(10, 0.4, 0.5), check(20, 0.15, 1.0), check(30, 0.1, 1.5)]
    assert not judge(checks[:3], 2, LAST).stop
    verdict = judge(checks, 2, LAST)
    assert (verdict.stop, verdict.step, verdict.best, verdict.stands) == (True, 30, 10, 10)
    assert "the judges fell since update 10 (-0.30 [" in verdict.sentence
    assert ", while the trained reward rose since update 10 (+1.00 [" in verdict.sentence
    assert verdict.sentence.startswith("stopped: at update 30 ")
    assert verdict.sentence.endswith("the weights of update 10 are kept")
    assert "\n" not in verdict.sentence


def test_judges_that_rise_are_left_alone() -> None:
    verdict = judge([check(10 * i, 0.1 * i, 0.3 * i) for i in range(6)], 1, LAST)
    assert not verdict.stop
    assert (verdict.best, verdict.stands) == (50, 50)
    assert verdict.sentence == "nothing found wrong up to update 50"


@pytest.mark.parametrize(
    ("judges", "gain", "spread"),
    [(0.25, 1.0, 0.01), (0.1, 1.0, 2.0), (0.1, 0.15, 0.1), (-0.15, -0.2, 0.1), (-0.15, 0.0, 0.1)],
    ids=["less than a fifth", "no more than chance", "little was gained", "a stumble", "nothing was gained"],
)
def test_a_fall_that_is_small_or_uncertain_or_gained_nothing_is_none(judges: float, gain: float, spread: float) -> None:
    """The best is at 0.4, from where -0.15 is a fall of 0.55: less than what counts without a rise."""
    checks = [check(0, 0.0), check(10, 0.4, 0.5), check(20, judges, 0.5 + gain, spread)]
    assert judge(checks, 1, LAST).reasons == ()


def test_judges_that_are_lost_count_whatever_was_gained() -> None:
    checks = [check(0, 0.0), check(10, 0.4, 0.5), check(20, -0.7, 0.3)]
    said = judge(checks, 1, LAST)
    assert said.stop
    assert "the judges fell since update 10 (-1.10 [" in said.sentence
    assert "while the trained reward fell since update 10 (-0.20 [" in said.sentence
    assert judge([*checks[:2], check(20, -0.55, 0.3)], 1, LAST).reasons == ()
    one = judge([check(0, (0.0, 0.0)), check(10, (1.0, -1.2), -0.1)], 1, LAST)
    assert [reason[:29] for reason in one.reasons] == ["judge judge-1 fell since the "]


def test_who_recovers_is_let_go_on() -> None:
    """After a fall that is no crash for want of a gain, the gain comes while the judge is on its way back."""
    fell = [check(0, (0.0, 0.0)), check(10, (1.0, 0.0), 0.5), check(20, (1.0, -0.9), 0.5)]
    assert judge(fell, 1, LAST).reasons == ()
    back, further = [*fell, check(30, (1.0, -0.7), 0.8)], [*fell, check(30, (1.0, -0.95), 0.8)]
    assert (judge(back, 1, LAST).stop, judge(further, 1, LAST).stop) == (False, True)
    assert judge(back, 1, LAST).best == 10


def test_the_end_goes_back_to_the_best_and_stops_nothing() -> None:
    """There any fall of the mean is enough to keep the best weights: nothing is lost by it but updates."""
    checks = [check(0, 0.0), check(10, 0.4, 0.5), check(20, 0.1, 0.3)]
    going, ended = judge(checks, 2, LAST), judge(checks, 2, 20)
    assert (going.reasons, going.stands) == ((), 20)
    assert (ended.stop, ended.stands) == (False, 10)
    assert ended.sentence.startswith("warning: at update 20 the judges fell since update 10 (-0.30 [")
    assert ended.sentence.endswith("; the weights of update 10 are kept")
    bad = [check(0, 0.0), check(10, 0.4, 0.5), check(20, 0.1, 1.0)]
    assert (judge(bad, 2, 20).stop, judge(bad, 2, 20).stands, judge(bad, 2, LAST).stands) == (False, 10, 20)
    assert judge(bad, 0, 20).stands == 20


def test_a_dip_that_recovers_does_not_stop() -> None:
    checks = [check(0, 0.0), check(10, 0.4), check(20, 0.1, 0.3), check(30, 0.5, 0.3), check(40, 0.2, 0.6)]
    assert not any(judge(checks[: i + 1], 2, LAST).stop for i in range(len(checks)))
    assert judge(checks[:3], 1, LAST).stop


def test_patience_0_warns_and_never_stops() -> None:
    verdict = judge([check(0, 0.0), check(10, -1.0, 1.0), check(20, -2.0, 2.0)], 0, LAST)
    assert (verdict.stop, verdict.stands) == (False, 20)
    assert verdict.sentence.startswith("warning: at update 20 the judges fell")


def test_one_judge_that_crashes_is_not_outvoted() -> None:
    """The mean rises, so the newest check would be the best, but what broke something never is."""
    checks = [check(0, (0.0, 0.0)), check(10, (0.2, 0.1)), check(20, (3.0, -0.9), 0.1)]
    verdict = judge(checks, 1, LAST)
    assert (verdict.stop, verdict.best) == (True, 10)
    assert verdict.reasons[0].startswith("judge judge-1 fell since the start (-0.90")


def test_a_crash_stops_at_once_and_a_fall_waits_for_the_next_look() -> None:
    """A crash is 0.3 for certain: 0.36 with an interval of 0.04 either way is one, and with one of 0.4 it is none."""
    best = [check(0, (0.0, 0.0)), check(10, (0.2, 0.2))]

    def stops(judges: Sequence[float], gain: float = 0.12, spread: float = 0.1) -> bool:
        return judge([*best, check(20, judges, gain, spread)], 2, LAST).stop

    assert stops((3.0, -0.36))
    assert not stops((3.0, -0.36), spread=1.0)
    assert not stops((3.0, -0.36), gain=-0.05)
    assert not stops((-0.29, -0.29), gain=1.0)
    assert not judge([*best, check(20, (3.0, -0.36), 1.0)], 0, LAST).stop


def test_a_judge_below_the_start_counts_where_much_was_gained() -> None:
    """A fifth below, which is no crash, stops in two looks, and only while the trained reward rises by as much."""

    def bad(level: float, gain: float) -> bool:
        return bool(judge([check(0, (0.0, 0.0)), check(10, (1.0, level), gain)], 2, LAST).reasons)

    assert bad(-0.25, 0.3)
    assert not bad(-0.25, 0.1)
    assert not bad(-0.15, 0.3)


def test_a_fall_with_a_little_gain_makes_uneasy_before_it_is_bad() -> None:
    def said(level: float, gain: float) -> tuple[bool, bool]:
        verdict = judge([check(0, (0.0, 0.0)), check(10, (1.0, level), gain)], 2, LAST)
        return bool(verdict.reasons), verdict.doubtful

    assert said(-0.25, 0.3) == (True, True)
    assert said(-0.25, 0.1) == (False, True)
    assert said(-0.25, -0.1) == (False, False)
    assert said(-0.15, 0.1) == (False, False)


def test_the_best_is_none_that_one_judge_paid_for() -> None:
    """A judge that is fooled lifts the mean; the other, which fell, is believed about what stands."""
    paid = [check(0, (0.0, 0.0)), check(10, (1.0, -0.3))]
    assert (judge(paid, 1, LAST).best, judge(paid, 1, LAST).stop) == (0, False)
    stopped = judge([paid[0], check(10, (1.0, -0.9), 0.5)], 1, LAST).sentence
    assert stopped.endswith("; the start is kept, no check beat it")
    assert judge([check(0, (0.0, 0.0)), check(10, (1.0, -0.05))], 1, LAST).best == 10
    assert judge([check(0, (0.0, 0.0)), check(10, (1.0, -0.3), spread=2.0)], 1, LAST).best == 0


@pytest.mark.parametrize(
    ("probe", "change", "words"),
    [
        ("clipping", 0.3, "clipped"),
        ("saturation", 0.3, "saturation"),
        ("frequency", 1.2, "high-frequency"),
        ("diversity", -0.3, "distance"),
    ],
)
def test_images_that_go_to_pieces_count_unless_the_judges_rose(probe: str, change: float, words: str) -> None:
    bad = {probe: change}
    assert words in judge([check(0, 0.0), check(10, 0.0, 1.0, **bad)], 1, LAST).sentence
    assert judge([check(0, 0.0), check(10, 0.3, 1.0, **bad)], 1, LAST).reasons == ()
    assert judge([check(0, 0.0), check(10, 0.0, 1.0, **{probe: change / 3})], 1, LAST).reasons == ()
    assert judge([check(0, 0.0), check(10, 0.0, 1.0, **{probe: -change / 2})], 1, LAST).reasons == ()


def test_a_score_that_does_not_apply_is_left_out() -> None:
    start, later = check(0, (0.0, 0.0)), check(10, (0.0, -5.0))
    later.judges["judge-1"][1:] = np.nan
    start.judges["judge-1"][1:] = np.nan
    assert later.mean[1:] == pytest.approx(later.judges["judge-0"][1:])
    assert later.mean[0] == pytest.approx((later.judges["judge-0"][0] + later.judges["judge-1"][0]) / 2)
    assert judge([start, later], 1, LAST).reasons == ()  # one image is no evidence


def test_clipping_and_saturation_of_flat_images() -> None:
    flat = torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [1.0, 0.2, 0.6]])
    images = flat[:, :, None, None].expand(-1, -1, 8, 8)
    assert clipping(images).tolist() == pytest.approx([1, 0, 1 / 3])
    assert saturation(images).tolist() == pytest.approx([0, 0, 0.8])


def test_high_frequency_is_the_power_of_the_fine_patterns() -> None:
    """A chequerboard of +-a has power a^2, all of it at the Nyquist frequency; one wave over the image has none."""
    board = (torch.arange(16)[:, None] + torch.arange(16)) % 2 * 2.0 - 1
    wave = torch.sin(2 * torch.pi * torch.arange(16) / 16).expand(16, 16)
    images = torch.stack([0.5 + 0.1 * board, 0.5 + 0.2 * board, 0.5 + 0.2 * wave])[:, None].expand(-1, 3, -1, -1)
    power = high_frequency(images).exp()
    assert power.tolist() == pytest.approx([0.01, 0.04, 0], abs=2e-6)


def test_diversity_is_the_mean_cosine_distance_to_the_others() -> None:
    assert diversity(torch.ones(4, 3)).tolist() == pytest.approx([0] * 4, abs=1e-6)
    assert diversity(torch.eye(3) * 5).tolist() == pytest.approx([1] * 3)
    assert diversity(torch.tensor([[1.0, 0], [1, 0], [0, 1]])).tolist() == pytest.approx([0.5, 0.5, 1])
