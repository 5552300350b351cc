"""Calls of user code: any failure inside becomes a one-line error that names the code."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from rewardkit.errors import UserError


@contextmanager
def blamed(who: str, call: str) -> Iterator[None]:
    """Context in which any exception, including `sys.exit()`, becomes a `UserError` that names `who` and the `call`.

    Code that leaves gradients switched off (or on) is refused, because training after it would learn
    nothing.
    """
    before = torch.is_grad_enabled()
    try:
        yield
        after = torch.is_grad_enabled()
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"{who} failed in {call}: {message(error)}; REWARDKIT_TRACEBACK=1 shows where") from error
    finally:
        torch.set_grad_enabled(before)
    if after != before:
        raise UserError(
            f"{who} switched gradients {'on' if after else 'off'} in {call}, for everything that follows; "
            "use torch.no_grad() or torch.enable_grad() as a context instead"
        )


def message(error: BaseException) -> str:
    """Type and text of an exception, on one line."""
    text = textwrap.shorten(str(error), 300, placeholder=" ...")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class ScoreCall:
    """A user's scoring method; its first call also checks that the images are not changed.

    Once is enough: a method that writes into its images always does so, and a copy of every batch would cost
    memory. Unnoticed, the other rewards of a panel would score the changed images.
    """

    def __init__(self, name: str, call: str, function: Callable[[Tensor, Sequence[str]], Any]) -> None:
        self.who, self.call, self.function = f"reward {name!r}", call, function
        self.tried = False

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Any:
        before = None if self.tried else images.detach().clone()
        with blamed(self.who, self.call):
            found = self.function(images, prompts)
        if before is not None and not torch.equal(before, images.detach()):
            raise UserError(f"{self.who} changes its input images in {self.call}; use images.clone() there")
        self.tried = True
        return found
