"""Every named convention against arithmetic done by hand."""

from typing import get_args

import pytest
import torch

from rm.evaluation.accuracy import measure
from rm.evaluation.config import TieRule
from rm.evaluation.conventions import CONVENTIONS, best_threshold, pickscore
from rm.evaluation.rankings import Ranking, pairs_of


def ranking(prompt: str, scores: list[float], ranks: list[float]) -> Ranking:
    return Ranking(prompt, [*map(float, scores)], [*map(float, ranks)], prompt, prompt, prompt)


# A: three images, B two, C two. A pair is (i, j); people's choice | the scores' choice.
#   A  (1,2) first | first     right
#      (1,3) first | second    wrong
#      (2,3) tie   | second    people tie, scores do not
#   B  (1,2) second | tie      scores tie, people do not
#   C  (1,2) tie | tie         both tie
FIXTURE = [
    ranking("A", [0.7, 0.5, 0.9], [1, 2, 2]),
    ranking("B", [0.4, 0.4], [2, 1]),
    ranking("C", [0.1, 0.1], [1, 1]),
]
#                     A12  A13  A23  B12  C12
EXPECTED: dict[TieRule, float] = {
    "ties-excluded": (1 + 0 + 0.5) / 3,  # A23 and C12 are out; B12 is half right
    "ties-half": (1 + 0 + 0.5 + 0.5 + 0.5) / 5,
    "strict": (1 + 0 + 0 + 0 + 1) / 5,
    "imagereward": (1 + 0 + 0) / 3,  # A23 and C12 are out; B12 is wrong
    "hpsv2": ((1 + 0 + 1) / 3 + 1 + 1) / 3,  # A: one inversion of three pairs; B and C: none
    "hpsv2-imagereward": ((1 + 0) / 2 + 0) / 2,  # A: of two pairs that count; B: 0; C has none and is out
    "pickscore": (1 + 0 + 0.5 + 0.5 + 1) / 5,
    "pickscore-trainer": (1 + 0 + 0.5 + 0 + 0) / 5,
}
COUNTED = {"ties-excluded": 3, "imagereward": 3, "hpsv2-imagereward": 3}


@pytest.mark.parametrize("rule", EXPECTED)
def test_a_convention_counts_as_by_hand(rule: TieRule) -> None:
    found = measure(pairs_of(FIXTURE), CONVENTIONS[rule], torch.Generator().manual_seed(0))
    assert found.value == pytest.approx(EXPECTED[rule])
    assert found.n == COUNTED.get(rule, 5)
    assert found.low <= found.value <= found.high


def test_every_convention_has_a_hand_computed_number() -> None:
    assert set(EXPECTED) == set(CONVENTIONS) == set(get_args(TieRule))


def test_the_order_of_a_pair_does_not_matter() -> None:
    turned = [ranking(one.prompt, [*one.scores][::-1], [*one.ranks][::-1]) for one in FIXTURE]
    for rule, convention in CONVENTIONS.items():
        found = measure(pairs_of(turned), convention, torch.Generator())
        assert found.value == pytest.approx(EXPECTED[rule]), rule


def test_a_threshold_makes_close_scores_a_tie() -> None:
    # P(first) - P(second) = tanh(d / 2): 0.0997 at d = 0.2, and 0.4621 at d = 1
    difference, truth = torch.tensor([0.2, 1.0, -1.0]).double(), torch.tensor([0.0, 1.0, 1.0]).double()
    assert pickscore(difference, truth).tolist() == [0.5, 1, 0]
    assert pickscore(difference, truth, 0.1).tolist() == [1, 1, 0]
    assert pickscore(difference, truth, 0.5).tolist() == [1, 0.5, 0.5]
    # sums 1.5, 2 (from 0.1) and 2 (from 0.5): the first of the best
    assert best_threshold(difference, truth) == 0.1


def test_all_ties_leave_nothing_to_count_where_ties_are_left_out() -> None:
    pairs = pairs_of([ranking("A", [1.0, 2.0], [1, 1])])
    left_out = measure(pairs, CONVENTIONS["ties-excluded"], torch.Generator())
    assert left_out.n == left_out.groups == 0
    assert left_out.value != left_out.value
    assert measure(pairs, CONVENTIONS["hpsv2"], torch.Generator()).value == 1


def test_pairs_of_one_prompt_are_not_taken_for_independent() -> None:
    # ten prompts, half all right and half all wrong: 450 pairs tell what ten prompts tell
    rankings = [ranking(str(i), [*range(10)][:: 1 if i % 2 else -1], [*range(10)]) for i in range(10)]
    found = measure(pairs_of(rankings), CONVENTIONS["strict"], torch.Generator().manual_seed(0))
    assert (found.value, found.n, found.groups) == (0.5, 450, 10)
    assert found.low <= 0.2
    assert found.high >= 0.8


def test_where_all_agree_the_interval_is_wilsons_on_prompts() -> None:
    rankings = [ranking(str(i), [1.0, 0.0], [1, 2]) for i in range(20)]
    found = measure(pairs_of(rankings), CONVENTIONS["strict"], torch.Generator())
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(20 / (20 + 1.959964**2), abs=1e-5)
