"""A loaded reward checks what comes back: one finite floating number an image, or one line naming the reward."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from rewardkit.errors import UserError
from rewardkit.rewards.loaded import loaded, score_axes

PROMPTS = ["a", "b", "c"]


class Returns:
    """A user's reward that returns whatever it is told to."""

    name, axis, differentiable = "mine", "aesthetic", True

    def __init__(self, result: Callable[[torch.Tensor], Any]) -> None:
        self.result = result

    def score(self, images: torch.Tensor, prompts: Sequence[str]) -> Any:
        return self.result(images.mean((1, 2, 3)))


class ReturnsAxes:
    """The same for several axes."""

    name, axes, differentiable = "two", ("alignment", "text"), True

    def __init__(self, result: Any) -> None:
        self.result = result

    def scores(self, images: torch.Tensor, prompts: Sequence[str]) -> Any:
        return self.result


def test_one_floating_number_an_image_passes_with_its_gradient() -> None:
    images = torch.rand(3, 3, 4, 4, requires_grad=True)
    scores = loaded(Returns(lambda mean: mean)).score(images, PROMPTS)
    scores.sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("result", "returned"),
    [
        (lambda mean: mean[:, None], r"a float32 tensor of shape \(3, 1\)"),
        (lambda mean: mean.mean(), r"a float32 tensor of shape \(\)"),
        (lambda mean: mean[:2], r"a float32 tensor of shape \(2,\)"),
        (lambda mean: (mean > 0).long(), r"a int64 tensor of shape \(3,\)"),
        (lambda mean: mean.tolist(), "a value of type list"),
        (lambda mean: mean.numpy(), "a value of type ndarray"),
        (lambda mean: None, "a value of type NoneType"),
        (lambda mean: mean > 0, r"a bool tensor of shape \(3,\)"),
        (lambda mean: torch.complex(mean, mean), r"a complex64 tensor of shape \(3,\)"),
        (lambda mean: 0.5, "a value of type float"),
        (lambda mean: mean.to("meta"), r"a tensor without values \(device meta, layout torch.strided\)"),
        (lambda mean: mean.to_sparse(), r"a tensor without values \(device cpu, layout torch.sparse_coo\)"),
    ],
)
def test_anything_else_is_refused(result: Callable[[torch.Tensor], Any], returned: str) -> None:
    with pytest.raises(UserError, match=rf"'mine' returned {returned}; expected .* of shape \(3,\)"):
        loaded(Returns(result)).score(torch.rand(3, 3, 4, 4), PROMPTS)


@pytest.mark.parametrize("result", [{"alignment": torch.zeros(3)}, torch.zeros(3, 2)])
def test_every_axis_must_come_back(result: Any) -> None:
    with pytest.raises(UserError, match=r"'two' returned .* no axis"):
        loaded(ReturnsAxes(result)).scores(torch.rand(3, 3, 4, 4), PROMPTS)


def test_each_axis_is_checked_by_its_score_name() -> None:
    with pytest.raises(UserError, match=r"'two\.text' returned"):
        loaded(ReturnsAxes({"alignment": torch.zeros(3), "text": torch.zeros(3, 1)})).scores(
            torch.rand(3, 3, 4, 4), PROMPTS
        )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": None}, "its name must be a string; got None"),
        ({"axis": ("text",)}, r"its axis must be a string; got \('text',\)"),
        ({"differentiable": "yes"}, "its differentiable must be a bool; got 'yes'"),
        ({"score": 1}, "its score must be a method; got 1"),
        ({"axes": "text"}, "its axes must be strings; got 'text'"),
        ({"axes": ("text",)}, r"it has no scores; a reward needs name \(a string\), axes \(strings\)"),
    ],
)
def test_what_a_reward_lacks_is_named(changes: dict[str, Any], says: str) -> None:
    reward = Returns(torch.relu)
    vars(reward).update(changes)
    with pytest.raises(UserError, match=f"mine is no reward: {says}"):
        loaded(reward, called="mine")


def test_images_and_prompts_of_another_form_are_refused() -> None:
    reward, images = loaded(Returns(lambda mean: mean)), torch.rand(3, 3, 4, 4)
    for bad, says in (
        (images * 255, r"in \[0, 1\]; got values from .* to .*; divide by 255"),
        (images * 2 - 1, r"in \[0, 1\]; got values from -.*; use \(images \+ 1\) / 2"),
        ((images * 255).byte(), r"got a uint8 tensor of shape \(3, 3, 4, 4\); divide by 255"),
        (images[0], r"got a float32 tensor of shape \(3, 4, 4\)"),
        (images.permute(0, 2, 3, 1), r"got a float32 tensor of shape \(3, 4, 4, 3\)"),
        (images / 0 * 0, "got values from nan to nan"),
    ):
        with pytest.raises(UserError, match=f"reward 'mine' needs images .*{says}"):
            reward.score(bad, PROMPTS)
    for prompts, says in (
        ("abc", r"needs a list of prompts; got the string 'abc', so write \['abc'\]"),
        (["a"], "needs one prompt per image; got 3 images and 1 prompts"),
    ):
        with pytest.raises(UserError, match=f"reward 'mine' {says}"):
            reward.score(images, prompts)


def test_two_scores_of_one_name_are_refused() -> None:
    with pytest.raises(UserError, match="two rewards are called 'mine'"):
        score_axes([Returns(torch.relu), Returns(torch.relu)])
