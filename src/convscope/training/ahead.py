"""Make the next items of an iterator in a thread of its own while the present one is used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class _End:
    """Put in the queue when the iterator is used up or has failed."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class Ahead(Generic[Item]):
    """An iterator whose next `depth` items are made in a thread; an error there is raised at its place here.

    `close` stops the thread and waits for it; leaving an Ahead without closing it leaks one waiting thread.
    """

    def __init__(self, items: Iterator[Item], depth: int = 2) -> None:
        """Start at once."""
        self._queue: queue.Queue[Item | _End] = queue.Queue(maxsize=depth)
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(items,), name="convscope-feed", daemon=True)
        self._thread.start()

    def _work(self, items: Iterator[Item]) -> None:
        end = _End(None)
        try:
            for item in items:
                if not self._put(item):
                    break
        except BaseException as error:  # noqa: BLE001 - handed over to the consumer, which raises it
            end = _End(error)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
        self._put(end)

    def _put(self, item: Item | _End) -> bool:
        while not self._is_closed.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def __iter__(self) -> Ahead[Item]:
        """Itself."""
        return self

    def __next__(self) -> Item:
        """The next item, when it is there."""
        if self._is_closed.is_set():
            raise StopIteration
        item = self._queue.get()
        if isinstance(item, _End):
            self.close()
            if item.error is not None:
                raise item.error
            raise StopIteration
        return item

    def close(self) -> None:
        """Stop and forget what was made; safe to call twice."""
        self._is_closed.set()
        self._thread.join()
