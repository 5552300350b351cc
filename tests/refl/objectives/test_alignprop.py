"""AlignProp: how many of the toy's last steps carry a graph, and what flows through them."""

from dataclasses import replace

import pytest
import torch

from refl.objectives.alignprop import depth
from tests.refl.chains import made, slope_of, streams, toy, way


def test_the_depth_is_drawn_evenly_from_the_window() -> None:
    """Four steps out of the middle of eight may be the first: 3 to 6 are left from there; n = 4000, 5 sigma."""
    generator = torch.Generator().manual_seed(0)
    drawn = [depth(8, (0.25, 0.75), generator) for _ in range(4000)]
    assert set(drawn) == {3, 4, 5, 6}
    assert all(abs(drawn.count(k) - 1000) < 5 * 27.4 for k in (3, 4, 5, 6))
    assert {depth(4, (0.0, 1.0), generator) for _ in range(200)} == {1, 2, 3, 4}
    assert {depth(4, (0.75, 1.0), generator) for _ in range(20)} == {1}


def test_the_depth_depends_on_the_seed_alone() -> None:
    def drawn(seed: int) -> list[int]:
        return [depth(10, (0.0, 1.0), streams(seed + update)("depth")) for update in range(30)]

    assert drawn(0) == drawn(0) != drawn(1)


@pytest.mark.parametrize(("window", "k"), [((0.75, 1.0), 1), ((0.5, 0.75), 2), ((0.25, 0.5), 3), ((0.0, 0.25), 4)])
def test_the_gradient_flows_through_the_last_steps_alone(window: tuple[float, float], k: int) -> None:
    """x = (1 - a/4)^(4 - k) held, times (1 - a/4)^k differentiated as a whole."""
    a, (velocity, chain) = 0.7, toy()
    latents = way("alignprop", window=window)(chain).latents
    assert latents.item() == pytest.approx((1 - a / 4) ** 4)
    assert slope_of(velocity, latents) == pytest.approx((1 - a / 4) ** 3 * k * -1 / 4)
    assert velocity.seen == [1.0, 0.75, 0.5, 0.25][4 - k :]


def test_every_update_draws_a_depth_of_its_own() -> None:
    def seen(update: int) -> int:
        velocity, chain = toy()
        way("alignprop", window=(0.0, 1.0))(replace(chain, random=streams(update)))
        return len(velocity.seen)

    assert {seen(update) for update in range(30)} == {1, 2, 3, 4}
    assert [seen(update) for update in range(5)] == [seen(update) for update in range(5)]


def test_a_plan_counts_the_deepest_graph() -> None:
    assert [made("alignprop", window=window).passes(8) for window in ((0.0, 1.0), (0.25, 0.5))] == [8, 6]
