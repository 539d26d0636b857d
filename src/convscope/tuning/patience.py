"""A study's database that is asked again when it is out of reach for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from convscope.errors import StorageError

TRIES, PAUSE_S = 4, 1.0  # so 7 seconds in all: a server that is started again is back by then


class Patient:
    """An Optuna storage in front of another one: each call is tried several times.

    Attributes:
        shown: its address, for people.
    """

    def __init__(self, storage: Any, shown: str, *, tries: int = TRIES, pause_s: float = PAUSE_S) -> None:
        """`pause_s` is doubled after each try."""
        self.shown = shown
        self._storage, self._tries, self._pause_s = storage, tries, pause_s
        self._lost = (
            import_module("optuna").exceptions.StorageInternalError,
            import_module("sqlalchemy.exc").OperationalError,
        )

    def __getattr__(self, name: str) -> Any:
        """What the other one has; its methods patiently."""
        found = getattr(self._storage, name)
        return self._patiently(found) if callable(found) else found

    def _patiently(self, action: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            for attempt in range(self._tries):
                try:
                    return action(*given, **named)
                except self._lost as error:
                    if attempt + 1 == self._tries:
                        raise StorageError(
                            f"lost the storage {self.shown}, {self._tries} tries: {root_line(error)}; when it runs "
                            "again, go on with convscope tune --resume"
                        ) from error
                    time.sleep(self._pause_s * 2**attempt)
            raise AssertionError("the last try returns or raises")

        return call


def root_line(error: BaseException) -> str:
    """The first line of what was behind an error, which says more than what was made of it."""
    while (cause := error.__cause__) is not None:
        error = cause
    return first_line(error)


def first_line(error: BaseException) -> str:
    """The first line of an error's words, else its kind."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
