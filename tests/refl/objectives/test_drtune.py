"""DRTune: steps of the toy whose input is held."""

import pytest

from tests.refl.chains import slope_of, toy, way


def test_drtune_never_differentiates_through_the_input() -> None:
    """As draft-k, but each step's input is held: the sum of the steps' own slopes."""
    a, (velocity, chain) = 0.7, toy()
    latents = way("drtune", window=(0.75, 1.0))(chain).latents
    x = [(1 - a / 4) ** i for i in range(5)]
    assert latents.item() == pytest.approx(x[4])
    assert velocity.seen == [0.75, 0.25]  # steps 1 and 3: two of the four, evenly, ending on the stop
    assert slope_of(velocity, latents) == pytest.approx(-(x[1] + x[3]) / 4)
