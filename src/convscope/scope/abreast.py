"""Two runs of a compiled network at a time, in order: the next one fills the cores that one leaves idle."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(do: Callable[[Item], Result], items: Iterable[Item], *, abreast: bool) -> Iterator[Result]:
    """The results of `do` in the order of the items, one after another or two at a time."""
    return _two_abreast(do, items) if abreast else map(do, items)


def _two_abreast(do: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """At most two results are there beside what the caller keeps, one while the caller works.

    An item's error comes where its result would; a generator that is closed waits for what still runs.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(2) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(do, item))
                if len(waiting) == 2:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
