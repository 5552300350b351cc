"""The shares of the ceiling: a perfect judge has all of it, a coin's judge half, whatever labels were drawn."""

from pathlib import Path

import pytest
import torch

from benchmarks.ceilings import figures, language
from rewardkit.data import PreferenceRecord
from rewardkit.posters.names import TEMPERATURE


def test_a_perfect_judge_reaches_the_ceiling_and_a_wrong_one_its_rest() -> None:
    gap = 0.2
    odds = torch.tensor(gap / TEMPERATURE["alignment"], dtype=torch.float64).sigmoid().item()
    prompts = ["a red star"] * 6 + ["红色的星"] * 4
    records = [
        PreferenceRecord(prompt, Path("a.png"), Path("b.png"), {"alignment": float(place % 2)})
        for place, prompt in enumerate(prompts)
    ]
    gold = [{"alignment": [0.5, 0.5 - gap] if place % 3 else [0.5 - gap, 0.5]} for place in range(10)]
    first, second = torch.tensor([row["alignment"] for row in gold]).unbind(1)
    rows = figures(records, gold, (first, second), "alignment")
    assert rows["all"]["n"] == 10
    assert (rows["en"]["n"], rows["zh"]["n"]) == (6, 4)
    assert rows["all"]["ceiling"] == pytest.approx(odds)
    assert rows["zh"]["odds_share"] == pytest.approx(1)
    wrong = figures(records, gold, (second, first), "alignment")
    assert wrong["all"]["odds"] == pytest.approx(1 - odds)
    drawn = sum((row["alignment"][0] > row["alignment"][1]) == bool(place % 2) for place, row in enumerate(gold)) / 10
    assert rows["all"]["drawn"] == pytest.approx(drawn)


def test_a_language_is_known_by_its_letters() -> None:
    assert language("海报左边有一个小橙色星星") == "zh"
    assert language("빨간 별") == "ko"
    assert language("a red star") == "en"
