"""Hide the progress bars of libraries while they load, map and save small things: a command shows its own."""

from collections.abc import Iterator
from contextlib import contextmanager

import datasets
from transformers.utils import logging


@contextmanager
def quiet() -> Iterator[None]:
    """Switch the bars of datasets and transformers off for the block, and back to what they were."""
    mapping, loading = not datasets.are_progress_bars_disabled(), logging.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if mapping:
            datasets.enable_progress_bars()
        if loading:
            logging.enable_progress_bar()
