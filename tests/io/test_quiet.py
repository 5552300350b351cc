"""Bars of libraries are off inside the block, and as they were after it."""

import datasets
import pytest
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from rewardkit.io.quiet import quiet


def shown() -> tuple[bool, bool, bool]:
    return (
        diffusers_logging.is_progress_bar_enabled(),
        transformers_logging.is_progress_bar_enabled(),
        not datasets.are_progress_bars_disabled(),
    )


def test_bars_are_off_inside_and_on_again_after_an_error() -> None:
    inside: list[tuple[bool, bool, bool]] = []

    def work() -> None:
        with quiet():
            inside.append(shown())
            raise ValueError("inside")

    assert shown() == (True, True, True)
    with pytest.raises(ValueError, match="inside"):
        work()
    assert inside == [(False, False, False)]
    assert shown() == (True, True, True)


def test_bars_that_were_off_stay_off() -> None:
    transformers_logging.disable_progress_bar()
    try:
        with quiet():
            pass
        assert shown() == (True, False, True)
    finally:
        transformers_logging.enable_progress_bar()
