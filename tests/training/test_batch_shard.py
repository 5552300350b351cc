"""Shares of a batch: together they are the whole of it, and an image's numbers do not depend on who draws them."""

import pytest
import torch

from refl.augment import augment
from rewardkit.errors import UserError
from rewardkit.training.batch_shard import BatchShard
from rewardkit.training.processes import Processes


def shares(count: int, batch: int, unit: int = 1) -> list[BatchShard]:
    return [BatchShard(batch, unit, Processes(rank, count)) for rank in range(count)]


def test_shares_are_the_batch_in_whole_groups() -> None:
    three = shares(3, 16, unit=2)
    assert [(each.rows.start, each.rows.stop) for each in three] == [(0, 4), (4, 10), (10, 16)]
    assert sum(each.weight for each in three) == pytest.approx(1)
    assert BatchShard(5).rows == slice(0, 5)


def test_an_image_has_the_same_numbers_whoever_draws_it() -> None:
    def draw(count: int) -> torch.Tensor:
        return torch.rand(count, 2, generator=torch.Generator().manual_seed(0))

    assert torch.equal(torch.cat([each.own(draw) for each in shares(2, 5)]), draw(5))
    rounds = [each.own(draw, rounds=2).unflatten(0, (2, -1)) for each in shares(2, 5)]
    assert torch.equal(torch.cat(rounds, 1).flatten(0, 1), draw(10))


def test_an_image_is_augmented_alike_whoever_has_it() -> None:
    images = torch.rand(10, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    whole = augment(images, torch.Generator().manual_seed(1), share=BatchShard(5))
    parts = [
        augment(each.take(images, 2), torch.Generator().manual_seed(1), share=each).unflatten(0, (2, -1))
        for each in shares(2, 5)
    ]
    torch.testing.assert_close(torch.cat(parts, 1).flatten(0, 1), whole)


def test_more_processes_than_images_are_refused() -> None:
    with pytest.raises(UserError, match=r"batch_size 8 in groups of 4 is too small for 3 processes"):
        BatchShard(8, 4, Processes(0, 3))
