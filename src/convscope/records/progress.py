"""How long work says where it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Called often with the step's name, how much is done and how much there is; must be cheap.

    The terminal draws a bar with the time left, the studio sends it on, tests count the calls.
    """

    def __call__(self, what: str, done: int, total: int) -> None:
        """Say that `done` of `total` units of `what` are done; 0 of 0 is a remark, nothing to count."""
        ...


def silent(what: str, done: int, total: int) -> None:
    """Listen to nothing."""


@contextmanager
def within(part: str, progress: Progress) -> Iterator[Progress]:
    """For one of several like parts (a fold, a trial): its steps are named after it, so that each is shown.

    Steps that it leaves unfinished, for it failed or was given up, are over with it: as many as were done.
    """
    unfinished: dict[str, int] = {}

    def told(what: str, done: int, total: int) -> None:
        name = f"{part}, {what}"
        if done < total:
            unfinished[name] = done
        else:
            unfinished.pop(name, None)
        progress(name, done, total)

    def end() -> None:
        for name, done in unfinished.items():
            progress(name, max(done, 1), max(done, 1))

    try:
        yield told
    except Exception:  # not for a stop (KeyboardInterrupt): that part is not over, it is gone on with
        end()
        raise
    end()
