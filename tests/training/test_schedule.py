"""Learning-rate schedules against their closed forms, and the one cycle against torch's own."""

import math

import pytest
import torch
from torch.optim import AdamW

from rewardkit.training.schedule import cosine, linear, one_cycle, shares


def adam(*rates: float) -> AdamW:
    return AdamW([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates], betas=(0.9, 0.98))


def test_linear_rises_and_stays() -> None:
    assert [linear(step, 4) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert linear(0, 0) == 1.0


def test_cosine_rises_and_falls_to_nothing() -> None:
    assert [cosine(step, 10, 2) for step in (0, 1, 2)] == [0.5, 1.0, 1.0]
    assert cosine(6, 10, 2) == pytest.approx(0.5)
    assert cosine(10, 10, 2) == pytest.approx(0.0)
    assert cosine(4, 10, 2) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)


def test_every_group_has_a_share_of_its_own_peak_whatever_came_before() -> None:
    optimizer = adam(1.0, 10.0)
    schedule = shares(lambda step: 1 / (1 + step))
    for step in (3, 0, 1):
        schedule(optimizer, step)
        assert [group["lr"] for group in optimizer.param_groups] == [1 / (1 + step), 10 / (1 + step)]


@pytest.mark.parametrize(("total", "share"), [(7, 0.05), (40, 0.1), (100, 0.3), (1, 0.1)])
def test_one_cycle_is_torchs_to_the_bit(total: int, share: float) -> None:
    theirs, ours = adam(1.0), adam(1.0)
    peer = torch.optim.lr_scheduler.OneCycleLR(theirs, 2e-3, total_steps=total, pct_start=share)
    schedule = one_cycle(2e-3, total, share)
    for step in range(total):
        schedule(ours, step)
        for key in ("lr", "betas"):
            assert ours.param_groups[0][key] == theirs.param_groups[0][key], (step, key)
        theirs.step()
        peer.step()


def test_a_rise_of_one_update_begins_at_the_peak() -> None:
    optimizer = adam(1.0)
    one_cycle(2e-3, 10, 0.1)(optimizer, 0)  # torch's own divides by 0 here
    assert optimizer.param_groups[0]["lr"] == pytest.approx(2e-3)
