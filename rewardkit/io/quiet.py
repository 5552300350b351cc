"""Hide the progress bars of libraries for loading, mapping and saving; those of downloads stay."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Disable the progress bars of diffusers, transformers and datasets, if imported, and enable them again after."""
    with ExitStack() as stack:
        for name in ("diffusers.utils.logging", "transformers.utils.logging"):
            log = sys.modules.get(name)
            if log is not None and log.is_progress_bar_enabled():
                log.disable_progress_bar()
                stack.callback(log.enable_progress_bar)
        datasets = sys.modules.get("datasets")
        if datasets is not None and not datasets.are_progress_bars_disabled():
            datasets.disable_progress_bars()
            stack.callback(datasets.enable_progress_bars)
        yield
