"""Hide the bars that libraries show for each small part they load; downloads keep theirs."""

from collections.abc import Iterator
from contextlib import contextmanager

from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging


@contextmanager
def quiet() -> Iterator[None]:
    """Switch the loading bars of diffusers and transformers off for the block, and on again if they were."""
    libraries = [log for log in (diffusers_logging, transformers_logging) if log.is_progress_bar_enabled()]
    for log in libraries:
        log.disable_progress_bar()
    try:
        yield
    finally:
        for log in libraries:
            log.enable_progress_bar()
