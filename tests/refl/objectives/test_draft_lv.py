"""DRaFT-LV: the last step of the toy under several noises."""

import torch

from tests.refl.chains import toy, way


def test_draft_lv_averages_over_noises_at_the_last_level() -> None:
    velocity, chain = toy()
    estimate = way("draft-lv", noises=3)(chain)
    assert estimate.latents.shape == (3, 1, 1, 1)
    assert velocity.seen == [0.25] * 3
    noisy = torch.cat([grad_step.noisy for grad_step in estimate.graph_steps])
    assert noisy.std() > 0.01
    torch.testing.assert_close(estimate.latents, noisy * (1 - 0.7 / 4))
