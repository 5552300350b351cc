"""Decode files in threads ahead of their use."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from rewardkit.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
THREADS = min(8, CORES)


def ahead(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int = THREADS, depth: int | None = None
) -> Iterator[tuple[Item, Result | UserError]]:
    """Yield each item with the result of `work`, or with the `UserError` it raised, in order.

    Threads work at most `depth` items ahead of the consumer (default: 4 per thread), so memory does not grow with the
    number of items. For consumption in batches `depth` should be at least a batch, or threads are idle. Any other error
    is raised in place of its item.
    """
    with ThreadPoolExecutor(threads) as pool:
        room = depth or 4 * threads
        rest, waiting = iter(items), deque[tuple[Item, Future[Result | UserError]]]()
        while True:
            waiting += [(item, pool.submit(attempt, work, item)) for item in islice(rest, room - len(waiting))]
            if not waiting:
                return
            item, future = waiting.popleft()
            yield item, future.result()


def attempt(work: Callable[[Item], Result], item: Item) -> Result | UserError:
    try:
        return work(item)
    except UserError as error:
        return error
