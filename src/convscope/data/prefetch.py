"""Work ahead of the consumer: a few items in flight on threads, results in order, an end as soon as nobody listens."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Job = TypeVar("Job")
Result = TypeVar("Result")

Submit = Callable[..., "Future[Any]"]

MOST_WORKERS = 16  # more decoding threads than this wait for Python's lock rather than decode


def usable_cores() -> int:
    """How many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # Linux; knows taskset and container limits
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_workers() -> int:
    """One decoding thread for each usable core, at most MOST_WORKERS."""
    return min(usable_cores(), MOST_WORKERS)


def at_once(function: Callable[..., Any], *args: Any) -> Future[Any]:
    """Call `function` now, in this thread: stands in for a pool's submit."""
    future: Future[Any] = Future()
    future.set_result(function(*args))
    return future


def prefetched(
    items: Iterable[Item],
    start: Callable[[Submit, Item], Job],
    finish: Callable[[Job], Result],
    *,
    workers: int,
    ahead: int,
) -> Generator[Result, None, None]:
    """Yield finish(start(item)) for each item, in order, with up to `ahead` later items already started.

    Args:
        items: what to work on.
        start: submits the item's work and returns at once.
        finish: waits for it; an error raised in a worker is raised here.
        workers: threads.
        ahead: how many items beyond the one being consumed may be in flight.

    The threads end when the iterator is used up, closed or dropped; work not yet begun is cancelled.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="convscope-loader")
    jobs: deque[Job] = deque()
    try:
        for item in items:
            jobs.append(start(pool.submit, item))
            if len(jobs) > ahead:
                yield finish(jobs.popleft())
        while jobs:
            yield finish(jobs.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
