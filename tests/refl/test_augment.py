"""The small changes before a reward sees an image."""

import pytest
import torch

from refl.augment import augment, blur
from rewardkit.images.shift import shift


def test_augmenting_changes_little_and_passes_gradients() -> None:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)).mul(0.5).add(0.25).requires_grad_()
    out = augment(images, torch.Generator().manual_seed(1))
    out.sum().backward()
    assert 0.001 < (out - images).abs().mean() < 0.2
    assert images.grad.abs().min() > 0
    assert torch.equal(out, augment(images, torch.Generator().manual_seed(1)))
    assert augment(images, torch.Generator(), strength=0.0) is images


def test_a_shift_by_whole_pixels_moves_the_image() -> None:
    images = torch.rand(1, 3, 8, 8)
    moved = shift(images, torch.tensor([[2 / 8, 0.0]]))
    torch.testing.assert_close(moved[..., :6], images[..., 2:], atol=1e-5, rtol=0)


def test_blur_keeps_the_mean_and_a_flat_image() -> None:
    flat = torch.full((2, 3, 8, 8), 0.3)
    torch.testing.assert_close(blur(flat, torch.tensor([0.0, 0.6])), flat)
    point = torch.zeros(2, 3, 9, 9)
    point[:, :, 4, 4] = 1
    out = blur(point, torch.tensor([0.0, 0.6]))
    torch.testing.assert_close(out[0], point[0])
    assert out[1, 0, 4, 4] < 0.7
    assert out[1].sum((1, 2)).tolist() == pytest.approx([1, 1, 1])
