"""Scaled RoPE: counted from the centre, scaled by resolution."""

import pytest
import torch

from rewardkit.seedling.rope import centred_positions, glyph_angles, image_angles, rotate


@pytest.mark.parametrize("patches", [8, 12, 16])
def test_positions_are_centred(patches: int) -> None:
    positions = centred_positions(patches, 8, exponent=1.0)
    torch.testing.assert_close(positions, -positions.flip(0))


@pytest.mark.parametrize("larger", [10, 12, 16, 32])
def test_centre_patches_keep_their_ids_across_resolutions(larger: int) -> None:
    """With exponent 0 the middle 8 of any even number of patches are the 8 of the base resolution, id by id."""
    base, wide = centred_positions(8, 8, 0.0), centred_positions(larger, 8, 0.0)
    start = (larger - 8) // 2
    assert torch.equal(wide[start : start + 8], base)


@pytest.mark.parametrize("larger", [12, 16, 32])
def test_the_scale_follows_the_resolution(larger: int) -> None:
    """With exponent 1 a step is n_base / n, so the range stays within what training saw."""
    positions = centred_positions(larger, 8, 1.0)
    torch.testing.assert_close(positions.diff(), torch.full((larger - 1,), 8 / larger))
    assert positions.max() <= 4.0


def test_exponents_between_scale_between() -> None:
    step = centred_positions(16, 8, 0.5).diff()[0].item()
    assert step == pytest.approx(0.5**0.5)


def test_a_centre_patch_has_the_same_angles_at_twice_the_resolution() -> None:
    base = image_angles(8, 8, base_patches=8, head_dim=32, exponent=0.0).view(8, 8, -1)
    wide = image_angles(16, 16, base_patches=8, head_dim=32, exponent=0.0).view(16, 16, -1)
    assert torch.equal(wide[4:12, 4:12], base)


def test_rotation_keeps_lengths_and_depends_on_differences_only() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, 1, 8, 16, generator=generator)
    turned = rotate(q, image_angles(1, 8, base_patches=8, head_dim=16))
    torch.testing.assert_close(turned.norm(dim=-1), q.norm(dim=-1))
    angles = image_angles(1, 8, base_patches=8, head_dim=16)
    same = rotate(q[:, :, :1].expand(-1, -1, 8, -1), angles) @ rotate(k[:, :, :1].expand(-1, -1, 8, -1), angles).mT
    torch.testing.assert_close(same[0, 0].diagonal(1), same[0, 0, 0, 1].expand(7), atol=1e-5, rtol=1e-4)


def test_glyphs_stand_in_a_centred_line() -> None:
    """Three letters and an end sign: the letters are at -1, 0 and 1, whatever the padding."""
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0]], dtype=torch.bool)
    angles = glyph_angles(mask, head_dim=8)
    assert angles.shape == (2, 6, 4)
    assert torch.equal(angles[0, :3, 2], torch.tensor([-1.0, 0.0, 1.0]))
    assert angles[1, 0, 2] == 0
    assert not angles[..., :2].any()
