"""DRaFT-K: the last steps of the toy."""

import pytest

from tests.refl.chains import slope_of, toy, way


def test_draft_k_differentiates_the_last_steps_into_each_other() -> None:
    """x = (1 - a/4)^2 held, times (1 - a/4)^2 differentiated as a whole."""
    a, (velocity, chain) = 0.7, toy()
    latents = way("draft-k")(chain).latents
    assert latents.item() == pytest.approx((1 - a / 4) ** 4)
    assert slope_of(velocity, latents) == pytest.approx((1 - a / 4) ** 2 * 2 * (1 - a / 4) * -1 / 4)
    assert velocity.seen == [0.5, 0.25]
