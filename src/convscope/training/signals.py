"""Ctrl-C and SIGTERM during training: the first asks for a clean stop, a second Ctrl-C stops at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class TrainingStopped(KeyboardInterrupt):
    """Training was asked to stop, and did, with a checkpoint; `exit_code` is 130 (Ctrl-C) or 143 (SIGTERM)."""

    def __init__(self, signal_number: int) -> None:
        """Remember which signal it was."""
        super().__init__("training stopped with a checkpoint; go on with --resume")
        self.exit_code = 128 + signal_number


class StopRequest:
    """Holds whether a stop was asked for; as a context it listens to SIGINT and SIGTERM in the main thread.

    Elsewhere (a worker thread of a server) no signal arrives; set `signal_number` instead to ask.
    """

    def __init__(self) -> None:
        """Nothing is asked yet."""
        self.signal_number: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        """Listen."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._asked)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back to whoever had them."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self.signal_number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal_number = number
