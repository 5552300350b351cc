import math

import numpy as np
import pytest
import torch

from rewardkit.stats import (
    Estimate,
    holm,
    mcnemar,
    mean_interval,
    paired_difference,
    proportion_interval,
    ratio_interval,
    win_rate,
)


def test_the_mean_interval_is_students_t() -> None:
    # n = 4, mean 2.5, s = 1.2910; t(3, 0.975) = 3.1824 from the printed table
    estimate = mean_interval([1.0, 2.0, 3.0, 4.0])
    half = 3.182446 * math.sqrt(5 / 3) / 2
    assert estimate.value == 2.5
    assert estimate.n == 4
    assert (estimate.low, estimate.high) == pytest.approx((2.5 - half, 2.5 + half), abs=1e-5)


@pytest.mark.parametrize(("values", "n"), [([], 0), ([0.3], 1)])
def test_too_few_values_give_no_interval(values: list[float], n: int) -> None:
    estimate = mean_interval(values)
    assert (estimate.low, estimate.high, estimate.n) == (-math.inf, math.inf, n)
    assert not estimate.differs_from_zero


def test_pairing_removes_what_a_pair_shares() -> None:
    generator = np.random.default_rng(0)
    prompt = generator.normal(0, 10, 200)
    before, after = prompt + generator.normal(0, 0.1, 200), prompt + 0.5 + generator.normal(0, 0.1, 200)
    difference = paired_difference(before, after)
    assert difference.low < 0.5 < difference.high
    assert difference.high - difference.low < 0.1
    assert difference.differs_from_zero


def test_wilson_matches_the_closed_form() -> None:
    # the textbook case 10 of 20: centre 0.5, and half-width z / (1 + z²/n) * sqrt(p(1-p)/n + z²/4n²)
    estimate = proportion_interval(10, 20)
    assert (estimate.low, estimate.high) == pytest.approx((0.29930, 0.70070), abs=1e-4)


def test_wilson_is_honest_at_the_ends() -> None:
    none, every = proportion_interval(0, 20), proportion_interval(20, 20)
    z2 = 1.959964**2
    assert none.low == 0.0
    assert none.high == pytest.approx(z2 / (20 + z2), abs=1e-5)
    assert (every.value, every.high) == (1.0, 1.0)
    assert every.low == pytest.approx(20 / (20 + z2), abs=1e-5)


@pytest.mark.parametrize(("successes", "n"), [(3, 2), (-1, 2), (0, -1)])
def test_an_impossible_share_is_refused(successes: float, n: int) -> None:
    with pytest.raises(ValueError, match="between 0 and n"):
        proportion_interval(successes, n)


def test_a_tie_is_half_a_win() -> None:
    rate = win_rate([1, 2, 3, 4], [0, 2, 3, 5])
    assert (rate.wins, rate.ties, rate.losses, rate.n) == (1, 2, 1, 4)
    assert rate.value == 0.5
    assert win_rate([0, 2, 3, 5], [1, 2, 3, 4]).value == 0.5


def test_win_rates_of_the_two_sides_sum_to_one() -> None:
    generator = np.random.default_rng(1)
    left, right = generator.integers(0, 4, (2, 100)).astype(float)
    assert win_rate(left, right).value + win_rate(right, left).value == pytest.approx(1)


@pytest.mark.parametrize("sampler", ["normal", "uniform"])
def test_the_interval_covers_the_truth_95_times_in_100(sampler: str) -> None:
    generator = np.random.default_rng(2)
    draw = {"normal": lambda: generator.normal(1, 2, 12), "uniform": lambda: generator.uniform(0, 2, 30)}[sampler]
    hits = sum(estimate.low < 1 < estimate.high for estimate in (mean_interval(draw()) for _ in range(4000)))
    assert hits / 4000 == pytest.approx(0.95, abs=0.012)


def test_wilson_covers_the_truth_near_the_edge() -> None:
    generator = np.random.default_rng(3)
    estimates = [proportion_interval(int(k), 60) for k in generator.binomial(60, 0.05, 4000)]
    assert 0.93 < np.mean([estimate.low <= 0.05 <= estimate.high for estimate in estimates]) < 0.99


def test_lists_of_unequal_length_and_bad_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="equal length"):
        paired_difference([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="number 1 is not"):
        mean_interval([1.0, math.nan])
    with pytest.raises(ValueError, match="shape"):
        mean_interval(np.zeros((2, 2)))


def test_an_estimate_says_whether_it_differs_from_zero() -> None:
    assert Estimate(1.0, 0.5, 1.5, 9).differs_from_zero
    assert Estimate(-1.0, -1.5, -0.5, 9).differs_from_zero
    assert not Estimate(1.0, -0.5, 2.5, 9).differs_from_zero


def test_a_ratio_over_equal_clusters_has_about_the_interval_of_their_mean() -> None:
    generator = np.random.default_rng(0)
    totals = generator.normal(3, 1, 400)
    found = ratio_interval(totals, np.ones(400), torch.Generator().manual_seed(0))
    mean = mean_interval(totals)
    assert found.value == pytest.approx(mean.value)
    assert found.n == 400
    assert (found.low, found.high) == pytest.approx((mean.low, mean.high), abs=0.02)


def test_a_large_cluster_weighs_what_it_holds() -> None:
    found = ratio_interval([9.0, 0.0], [9.0, 1.0], torch.Generator().manual_seed(0))
    assert found.value == 0.9
    assert (found.low, found.high) == (0, 1)  # either cluster may be drawn twice


@pytest.mark.parametrize(("totals", "value", "n"), [([], math.nan, 0), ([1.0], 0.5, 1)])
def test_a_ratio_of_too_few_clusters_has_no_interval(totals: list[float], value: float, n: int) -> None:
    found = ratio_interval(totals, [2.0] * n, torch.Generator())
    assert found.value == pytest.approx(value, nan_ok=True)
    assert (found.low, found.high, found.n) == (-math.inf, math.inf, n)


def test_mcnemar_is_the_binomial_tail() -> None:
    # 1 against 6: P(at most 1 of 7 heads) = (1 + 7) / 128, and twice that
    assert mcnemar(1, 6) == mcnemar(6, 1) == pytest.approx(0.125)
    assert mcnemar(3, 3) == mcnemar(0, 0) == 1


def test_holm_steps_down() -> None:
    # sorted 0.01, 0.02, 0.03: times 3, 2, 1 gives 0.03, 0.04, 0.03, and no later one may be smaller
    assert holm([0.03, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []
