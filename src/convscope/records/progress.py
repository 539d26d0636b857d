"""How long work says where it is, without knowing who listens."""

from __future__ import annotations

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
