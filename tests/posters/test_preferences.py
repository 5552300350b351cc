"""Preference labels: their probabilities, ties, and the Bayes ceiling against simulation."""

import math

import pytest
import torch

from rewardkit.posters.preferences import bayes_accuracy, draw_labels, probability, ties


def scores(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    first, second = torch.rand(2, count, generator=torch.Generator().manual_seed(seed))
    second[: count // 10] = first[: count // 10]
    return first, second


def test_probability_closed_form_and_symmetry() -> None:
    first, second = torch.tensor([0.3, 0.9]), torch.tensor([0.1, 0.9])
    p = probability(first, second, 0.1)
    assert p.tolist() == pytest.approx([1 / (1 + math.exp(-2.0)), 0.5], rel=1e-5)
    torch.testing.assert_close(p + probability(second, first, 0.1), torch.ones(2).double())


def test_labels_are_drawn_at_their_probability() -> None:
    first, second = torch.full((20_000,), 0.6), torch.full((20_000,), 0.5)
    labels = draw_labels(first, second, 0.1, torch.Generator().manual_seed(1))
    assert set(labels.tolist()) == {0.0, 1.0}
    assert labels.mean().item() == pytest.approx(1 / (1 + math.exp(-1.0)), abs=0.01)
    again = draw_labels(first, second, 0.1, torch.Generator().manual_seed(1))
    assert torch.equal(labels, again)


def test_ties_are_a_half_and_stay_out_of_the_ceiling() -> None:
    first, second = torch.tensor([0.5, 0.50, 0.9]), torch.tensor([0.5, 0.52, 0.1])
    assert ties(first, second).tolist() == [True, False, False]
    assert ties(first, second, 0.03).tolist() == [True, True, False]
    labels = draw_labels(first, second, 0.1, torch.Generator().manual_seed(0), 0.03)
    assert labels[:2].tolist() == [0.5, 0.5]
    assert bayes_accuracy(first, second, 0.1, 0.03) == pytest.approx(1 / (1 + math.exp(-8.0)), rel=1e-5)
    assert math.isnan(bayes_accuracy(first[:1], second[:1], 0.1))


@pytest.mark.parametrize("temperature", [0.02, 0.1, 0.5])
def test_the_ceiling_is_what_the_gold_judge_reaches(temperature: float) -> None:
    first, second = scores(40_000)
    labels = draw_labels(first, second, temperature, torch.Generator().manual_seed(2))
    judged = labels != 0.5
    reached = ((first > second) == (labels == 1))[judged].float().mean().item()
    assert reached == pytest.approx(bayes_accuracy(first, second, temperature), abs=0.008)


def test_temperature_must_be_positive() -> None:
    with pytest.raises(ValueError, match="above 0"):
        probability(torch.zeros(1), torch.zeros(1), 0.0)
