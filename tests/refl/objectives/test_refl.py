"""ReFL: one late step of the toy, and where it is drawn from."""

import pytest
import torch

from refl.objectives.chain import bounds, late_step
from rewardkit.errors import UserError
from tests.refl.chains import slope_of, toy, way


def test_refl_differentiates_one_step_and_skips_the_rest() -> None:
    """Two steps of x (1 - a/4), then x0 = x (1 - a/2): only the last factor is differentiated."""
    a, (velocity, chain) = 0.7, toy()
    latents = way("refl")(chain).latents
    held = (1 - a / 4) ** 2
    assert latents.item() == pytest.approx(held * (1 - a / 2))
    assert slope_of(velocity, latents) == pytest.approx(held * -1 / 2)
    assert velocity.seen == [0.5]


@pytest.mark.parametrize(
    ("steps", "window", "wanted"),
    [(40, (0.75, 1.0), set(range(30, 40))), (4, (0.5, 1.0), {2, 3}), (10, (0.3, 0.6), {3, 4, 5}), (1, (0.5, 1.0), {0})],
)
def test_the_late_step_is_drawn_from_the_whole_window(
    steps: int, window: tuple[float, float], wanted: set[int]
) -> None:
    generator = torch.Generator().manual_seed(0)
    assert {late_step(steps, window, generator) for _ in range(400)} == wanted


@pytest.mark.parametrize("window", [(0.5, 0.5), (-0.1, 1.0), (0.5, 1.1)])
def test_a_window_that_is_none_is_refused(window: tuple[float, float]) -> None:
    with pytest.raises(UserError, match="window"):
        bounds(4, window)
