"""What every published scorer keeps: batches, gradients, PIL against tensors, long prompts, half precision."""

import copy

import pytest
import torch
from torch.nn import functional as F

from rewardkit.images import to_pil
from rewardkit.rewards.loaded import score_all
from rewardkit.rewards.protocol import Reward
from rewardkit.rewards.published.scorer import Scorer
from rewardkit.rewards.registry import SCORERS, resolve

PROMPTS = ["a red circle", "b", "a blue star"]


def smooth(height: int, width: int, count: int = 1, seed: int = 0) -> torch.Tensor:
    """Soft pictures in 8-bit steps, as photographs are: noise would show how PIL rounds, not how a scorer resizes."""
    coarse = torch.rand(count, 3, 4, 5, generator=torch.Generator().manual_seed(seed))
    pictures = F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    return pictures.mul(255).round().div(255)


def flat_below_zero(scorer: Scorer) -> bool:
    """CLIPScore's max(cos, 0); random weights often give a cosine below it."""
    return scorer.name in ("clipscore", "clipscore-paper")


def test_every_name_leads_to_a_loader(scorer: Scorer) -> None:
    assert scorer.name in SCORERS
    assert callable(resolve(SCORERS[scorer.name]))


def test_it_is_a_frozen_reward_with_a_reference(scorer: Scorer) -> None:
    assert isinstance(scorer, Reward)
    assert scorer.axis in ("alignment", "aesthetic")
    assert scorer.differentiable
    assert scorer.reference.low < scorer.reference.mean < scorer.reference.high
    assert not scorer.training
    assert not any(parameter.requires_grad for parameter in scorer.parameters())
    part = scorer.reference.part(weight=2.0)
    assert (part.weight, part.mean, part.std) == (2.0, scorer.reference.mean, scorer.reference.std)
    assert part.std > 0


def test_one_alone_scores_as_a_row_of_a_batch(scorer: Scorer) -> None:
    images = smooth(40, 56, count=3)
    batch = scorer.score(images, PROMPTS)
    alone = torch.cat([scorer.score(images[i : i + 1], PROMPTS[i : i + 1]) for i in range(3)])
    assert batch.shape == (3,)
    if not flat_below_zero(scorer):
        assert batch.std() > 0
    torch.testing.assert_close(batch, alone, rtol=1e-4, atol=1e-5)


def test_framing_before_changes_no_score(scorer: Scorer) -> None:
    images = smooth(40, 56, count=2)
    assert torch.equal(scorer.score(scorer.frame(images), PROMPTS[:2]), scorer.score(images, PROMPTS[:2]))


def test_no_images_no_scores_and_counts_must_agree(scorer: Scorer) -> None:
    assert scorer.score(torch.zeros(0, 3, 8, 8), []).shape == (0,)
    assert scorer.score_pil([], []).shape == (0,)
    with pytest.raises(ValueError, match="one prompt per image"):
        scorer.score(smooth(8, 8), [])
    assert list(score_all([scorer], smooth(20, 30), ["a"])) == [scorer.name]


@pytest.mark.parametrize("size", [(40, 56), (33, 20), (32, 32)])
def test_the_gradient_on_pixels_is_the_finite_difference(scorer: Scorer, size: tuple[int, int]) -> None:
    scorer = copy.deepcopy(scorer).double()
    image = (smooth(*size).double() * 0.8 + 0.1).requires_grad_()
    direction = torch.randn(image.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    prompt = ["a red circle"]
    value = scorer.score(image, prompt)
    if flat_below_zero(scorer) and value.item() == 0:
        pytest.skip("the cosine is negative here, and this convention is flat below zero")
    (gradient,) = torch.autograd.grad(value.sum(), image)
    step, tolerance = 1e-5, 1e-3
    if scorer.name in ("hpsv3", "vqascore"):
        # Qwen's norms and softmax work in float32 whatever they are given: go where the change is largest.
        direction, step, tolerance = gradient / gradient.norm(), 1e-3, 2e-2
    difference = scorer.score(image + step * direction, prompt) - scorer.score(image - step * direction, prompt)
    expected = difference.item() / (2 * step)
    assert (gradient * direction).sum().item() == pytest.approx(expected, rel=tolerance, abs=1e-7)
    assert (gradient.abs().amax((0, 2, 3)) > 0).all()


@pytest.mark.parametrize("size", [(64, 64), (50, 90), (90, 50), (35, 32)])
def test_pil_and_tensors_agree(scorer: Scorer, size: tuple[int, int]) -> None:
    """Within 5 % of how far scores of different pictures lie apart: PIL resizes on 8 bits, tensors do not."""
    images = smooth(*size, count=4)
    prompts = ["a red circle"] * 4
    tensors = scorer.score(images, prompts)
    pil = scorer.score_pil([to_pil(image) for image in images], prompts, batch_size=3)
    spread = max(float(tensors.max() - tensors.min()), 1e-6)
    if not flat_below_zero(scorer):
        assert spread > 1e-5
    assert (tensors - pil).abs().max().item() < 0.05 * spread + 1e-6


def test_pil_images_of_different_sizes_go_together(scorer: Scorer) -> None:
    images = [smooth(40, 60, seed=1), smooth(70, 33, seed=2), smooth(40, 60, seed=3)]
    together = scorer.score_pil([to_pil(image[0]) for image in images], PROMPTS)
    alone = [scorer.score_pil([to_pil(image[0])], [prompt]) for image, prompt in zip(images, PROMPTS, strict=True)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)


def test_long_prompts_are_read_to_the_end_of_what_fits(scorer: Scorer) -> None:
    image = smooth(32, 32)
    words = "a red circle b c d " * 40
    assert torch.isfinite(scorer.score(image, [words])).all()
    cut = {"imagereward": 33}.get(scorer.name, 75)
    if scorer.axis == "alignment" and scorer.name not in ("vqascore", "hpsv3", "clipscore-paper"):
        short = " ".join(words.split()[:cut])
        torch.testing.assert_close(scorer.score(image, [words]), scorer.score(image, [short]))


def test_half_precision_gives_float32_scores(scorer: Scorer) -> None:
    images, prompts = smooth(40, 56, count=2), PROMPTS[:2]
    half = copy.deepcopy(scorer).to(torch.bfloat16)
    scores = half.score(images, prompts)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, scorer.score(images, prompts), rtol=0.2, atol=0.2 * scores.abs().max().item())
