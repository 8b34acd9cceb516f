"""How many threads are worth starting, and work shared among them."""

import collections
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def available_cores() -> int:
    """Cores this process may run on: fewer than the machine's in a container or under `taskset`."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Like `map`, on all cores, with only one item more in work than there are threads.

    Results come in the items' order, so that neither memory nor what is made of them depends on
    which thread is faster.
    """
    cores = available_cores()
    with ThreadPoolExecutor(cores) as pool:
        waiting: collections.deque[Future[Result]] = collections.deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > cores + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
