"""A user's code that raises, leaves, writes into its images or switches gradients: one line, and nothing lingers."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from rewardkit.errors import UserError
from rewardkit.images.preprocess import Pixels
from rewardkit.rewards.batches import framed
from rewardkit.rewards.loaded import loaded

PROMPTS = ["a", "b"]


class Does:
    """A user's reward that does something before it scores."""

    name, axis, differentiable = "mine", "aesthetic", True

    def __init__(self, act: Callable[[torch.Tensor], Any]) -> None:
        self.act = act

    def score(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        self.act(images)
        return images.mean((1, 2, 3))


def fail(error: BaseException) -> Callable[[torch.Tensor], None]:
    def act(images: torch.Tensor) -> None:
        raise error

    return act


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ValueError("boom"), "ValueError: boom"),
        (KeyError("colour"), "KeyError: 'colour'"),
        (RuntimeError("first\n  second"), "RuntimeError: first second"),
        (AssertionError(), "AssertionError"),
        (MemoryError(), "MemoryError"),
        (SystemExit(0), "SystemExit: 0"),
    ],
)
def test_whatever_it_raises_is_one_line_with_its_name(error: BaseException, says: str) -> None:
    with pytest.raises(UserError) as caught:
        loaded(Does(fail(error))).score(torch.rand(2, 3, 4, 4), PROMPTS)
    wanted = f"reward 'mine' failed in score(images, prompts): {says}; REWARDKIT_TRACEBACK=1 shows where"
    assert str(caught.value) == wanted
    assert caught.value.__cause__ is error


def test_its_own_user_error_and_ctrl_c_pass() -> None:
    for error in (UserError("no font for this"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught:
            loaded(Does(fail(error))).score(torch.rand(2, 3, 4, 4), PROMPTS)
        assert caught.value is error


def test_sys_exit_ends_no_run_with_success() -> None:
    with pytest.raises(UserError, match="SystemExit"):
        loaded(Does(lambda images: sys.exit(0))).score(torch.rand(2, 3, 4, 4), PROMPTS)


@pytest.mark.parametrize(
    "write",
    [
        lambda images: images.mul_(0.5),
        lambda images: images.data.zero_(),
        lambda images: images.detach().numpy().fill(0.5),
    ],
)
def test_writing_into_the_images_is_refused(write: Callable[[torch.Tensor], Any]) -> None:
    with pytest.raises(UserError, match=r"'mine' changes its input images in score\(images, prompts\)"):
        loaded(Does(write)).score(torch.rand(2, 3, 4, 4), PROMPTS)


@pytest.mark.parametrize("before", [True, False])
def test_a_switch_of_gradients_is_refused_and_undone(before: bool) -> None:
    with torch.set_grad_enabled(before):
        with pytest.raises(UserError, match=f"'mine' switched gradients {'off' if before else 'on'} in score"):
            loaded(Does(lambda images: torch.set_grad_enabled(not before))).score(torch.rand(2, 3, 4, 4), PROMPTS)
        assert torch.is_grad_enabled() is before


def test_gradients_are_as_they_were_after_an_error() -> None:
    def act(images: torch.Tensor) -> None:
        torch.set_grad_enabled(False)
        raise ValueError

    with pytest.raises(UserError, match="ValueError"):
        loaded(Does(act)).score(torch.rand(2, 3, 4, 4), PROMPTS)
    assert torch.is_grad_enabled()


def test_framing_is_blamed_too() -> None:
    class Frames(Does):
        def frame(self, images: Pixels) -> Pixels:
            raise ValueError("too wide")

    with pytest.raises(UserError, match=r"'mine' failed in frame\(images\): ValueError: too wide"):
        framed(torch.rand(3, 4, 4), [Frames(lambda images: None)])
