"""Losses, accuracy and tie rules against closed forms."""

import math

import pytest
import torch

from rm.evaluation.accuracy import accuracy, agreement, bayes_ceiling
from rm.losses import bradley_terry, mismatch, rao_kupper

NAN = float("nan")


def one(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


def test_bradley_terry_is_the_soft_cross_entropy() -> None:
    p = 1 / (1 + math.exp(-1.5))
    expected = -(0.7 * math.log(p) + 0.3 * math.log(1 - p))
    assert bradley_terry(one(2.0), one(0.5), one(0.7)).item() == pytest.approx(expected)


def test_bradley_terry_is_antisymmetric_and_blind_to_a_shift() -> None:
    first, second, label = torch.randn(3, 8, dtype=torch.float64).unbind()
    label = label.sigmoid()
    value = bradley_terry(first, second, label)
    assert torch.allclose(value, bradley_terry(second, first, 1 - label))
    assert torch.allclose(value, bradley_terry(first + 3, second + 3, label))


def test_a_tie_is_least_at_equal_scores() -> None:
    difference = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    for loss in (
        bradley_terry(difference, one(0.0), one(0.5)),
        rao_kupper(difference, one(0.0), one(0.5), 0.4),
    ):
        (gradient,) = torch.autograd.grad(loss, difference)
        assert gradient.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("difference", [-3.0, 0.0, 0.7])
def test_rao_kupper_outcomes_sum_to_one_and_match_the_formula(difference: float) -> None:
    theta = math.exp(0.4)
    strength = math.exp(difference)
    win = strength / (strength + theta)
    loss = 1 / (1 + theta * strength)
    for label, probability in ((1.0, win), (0.0, loss), (0.5, 1 - win - loss)):
        value = rao_kupper(one(difference), one(0.0), one(label), 0.4)
        assert math.exp(-value.item()) == pytest.approx(probability)


def test_rao_kupper_refuses_a_threshold_of_zero() -> None:
    with pytest.raises(ValueError, match="positive"):
        rao_kupper(one(1.0), one(0.0), one(1.0), 0.0)


def test_an_absent_axis_gives_no_loss_and_no_gradient() -> None:
    first = torch.tensor([1.0, 5.0], dtype=torch.float64, requires_grad=True)
    second = torch.zeros(2, dtype=torch.float64)
    loss = bradley_terry(first, second, torch.tensor([1.0, NAN], dtype=torch.float64))
    (gradient,) = torch.autograd.grad(loss, first)
    assert loss.item() == pytest.approx(math.log1p(math.exp(-1)))
    assert gradient[1].item() == 0
    nothing = bradley_terry(first, second, torch.tensor([NAN, NAN], dtype=torch.float64))
    assert nothing.item() == 0
    assert torch.autograd.grad(nothing, first)[0].tolist() == [0, 0]


def test_mismatch_is_a_weighted_mean() -> None:
    own, other = torch.tensor([2.0, 9.0]), torch.tensor([1.0, -9.0])
    value = mismatch(own, other, torch.tensor([1.0, 0.0]))
    assert value.item() == pytest.approx(math.log1p(math.exp(-1)))
    assert mismatch(own, other, torch.zeros(2)).item() == 0


#                       right   wrong   label tie, scores not   label tie, scores equal   scores equal   not judged
FIRST = torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0, 1.0])
SECOND = torch.tensor([0.0, 1.0, 0.0, 1.0, 1.0, 0.0])
LABEL = torch.tensor([1.0, 0.8, 0.5, 0.5, 0.0, NAN])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("ties-excluded", [1, 0, 0.5]),
        ("ties-half", [1, 0, 0.5, 0.5, 0.5]),
        ("strict", [1, 0, 0, 1, 0]),
    ],
)
def test_tie_rules_on_a_table(rule: str, expected: list[float]) -> None:
    assert agreement(FIRST, SECOND, LABEL, rule).tolist() == expected  # type: ignore[arg-type]


def test_accuracy_has_an_interval_and_n() -> None:
    found = accuracy(FIRST, SECOND, LABEL)
    assert (found.value, found.n) == (0.5, 3)
    assert 0 < found.low < 0.5 < found.high < 1


def test_the_ceiling_is_what_the_best_judge_reaches() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 20000, generator=generator, dtype=torch.float64).unbind()
    p = torch.sigmoid((first - second) / 0.5)
    label = (torch.rand(20000, generator=generator, dtype=torch.float64) < p).double()
    assert accuracy(first, second, label).value == pytest.approx(bayes_ceiling(first, second, 0.5), abs=0.01)
