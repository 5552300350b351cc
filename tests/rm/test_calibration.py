"""The scale and the reliability of probabilities against numbers worked out by hand."""

import math

import pytest
import torch

from rewardkit.rewards.calibration import Scale
from rm.calibration.measure import (
    Bin,
    calibration_error,
    debiased_error,
    fit_scale,
    log_loss,
    reliability,
    temperature,
    to_scale,
)


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_what_falls_is_pooled_and_the_steps_are_joined() -> None:
    # 3 then 2 falls: both become 2.5, and stand at the middle of their scores
    scale = fit_scale([1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 4.0])
    assert scale == Scale((1.0, 2.5, 4.0), (1.0, 2.5, 4.0))
    assert scale(column(-9, 1, 1.75, 3.25, 9)).tolist() == [1, 1, 1.75, 3.25, 4]


def test_equal_scores_get_one_rating_with_their_weight() -> None:
    # 1 and 3 at the same score are 2; with 0.5 after them the pool is (1 + 3 + 0.5) / 3 at (0 + 0 + 6) / 3
    assert fit_scale([0.0, 0.0, 7.0], [1.0, 3.0, 5.0]) == Scale((0.0, 7.0), (2.0, 5.0))
    assert fit_scale([0.0, 0.0, 6.0], [1.0, 3.0, 0.5]) == Scale((2.0,), (1.5,))


def test_a_scale_never_falls() -> None:
    generator = torch.Generator().manual_seed(0)
    scores, ratings = torch.randn(2, 200, generator=generator, dtype=torch.float64)
    scale = fit_scale(scores.tolist(), ratings.tolist())
    assert (scale(scores.sort().values).diff() >= 0).all()
    assert list(scale.scores) == sorted(scale.scores)


def test_a_scale_needs_one_rating_a_score() -> None:
    with pytest.raises(ValueError, match="2 scores, 1 ratings"):
        fit_scale([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="0 scores"):
        fit_scale([], [])


def test_ratings_move_to_one_to_five() -> None:
    assert to_scale([1.0, 4.0, 7.0], 1.0, 7.0) == [1, 3, 5]
    with pytest.raises(ValueError, match=r"a rating is 8; .* from 1 to 7"):
        to_scale([3.0, 8.0], 1.0, 7.0)


def test_the_temperature_that_made_the_labels_is_found() -> None:
    generator = torch.Generator().manual_seed(0)
    difference = 4 * torch.randn(20000, generator=generator, dtype=torch.float64)
    outcome = torch.bernoulli((difference / 2.5).sigmoid(), generator=generator)
    found = temperature(difference, outcome)
    assert found == pytest.approx(2.5, rel=0.05)
    best, sure = (log_loss(difference / heat, outcome).mean() for heat in (found, 1.0))
    assert best < sure
    assert log_loss(column(0), column(1)).item() == pytest.approx(math.log(2))


def test_a_bin_says_how_sure_the_judge_was_and_how_often_right() -> None:
    # of the pairs said at 0.6 one is right and one is not; both of those said at 0.9 are right
    probability, outcome = column(0.9, 0.1, 0.6, 0.6), column(1, 0, 0, 1)
    bins = reliability(probability, outcome, 2)
    assert [(one.accuracy, one.n) for one in bins] == [(0.5, 2), (1, 2)]
    assert [one.confidence for one in bins] == pytest.approx([0.6, 0.9])
    assert calibration_error(bins) == pytest.approx(0.1)
    turned = reliability(1 - probability, 1 - outcome, 2)
    assert [one.accuracy for one in turned] == [0.5, 1]
    assert reliability(column(0.5), column(1)) == [Bin(0.5, 0.5, 1)]


def test_the_debiased_error_takes_the_noise_off() -> None:
    # (0.8 - 0.7)² - 0.7 * 0.3 / 100 = 0.0079
    assert debiased_error([Bin(0.8, 0.7, 101)]) == pytest.approx(math.sqrt(0.0079))
    assert debiased_error([Bin(0.72, 0.7, 101)]) == 0
    assert math.isnan(debiased_error([]))
    assert math.isnan(calibration_error([]))
