"""The flow-matching loss and the path it is taken on, against numbers worked out by hand."""

import pytest
import torch

from rewardkit.training.flow_matching import flow_loss, noised

LATENTS, NOISE = torch.full((2, 1, 1, 1), 2.0), torch.full((2, 1, 1, 1), -1.0)


@pytest.mark.parametrize(("sigma", "point"), [(0.0, 2.0), (0.5, 0.5), (1.0, -1.0)])
def test_the_path_is_straight_from_the_image_to_the_noise(sigma: float, point: float) -> None:
    assert noised(LATENTS, NOISE, torch.full((2,), sigma)).flatten().tolist() == [point, point]


def test_every_image_has_a_level_of_its_own() -> None:
    assert noised(LATENTS, NOISE, torch.tensor([0.0, 1.0])).flatten().tolist() == [2.0, -1.0]


def test_the_loss_is_the_squared_distance_to_the_true_velocity() -> None:
    """From 2 to -1 the velocity is -3; a model that says 2 is off by 5."""
    assert flow_loss(torch.full_like(LATENTS, 2.0), LATENTS, NOISE).item() == 25.0
    assert flow_loss(NOISE - LATENTS, LATENTS, NOISE).item() == 0.0
