"""Ctrl-C and SIGTERM during training: the first asks for a clean stop, a second Ctrl-C stops at once."""

from __future__ import annotations

import _thread
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

PATIENCE_S = 8.0  # after SIGTERM a batch (or a validation pass) gets this long; clusters kill after 10 s or more


class TrainingStopped(KeyboardInterrupt):
    """Training was asked to stop, and did, with a checkpoint; `exit_code` is 130 (Ctrl-C) or 143 (SIGTERM)."""

    def __init__(self, signal_number: int, words: str = "training stopped with a checkpoint") -> None:
        """Remember which signal it was."""
        super().__init__(words)
        self.exit_code = 128 + signal_number

    def name_run(self, folder: Path, has_checkpoint: bool) -> None:
        """Add to the words what can be done now."""
        then = f"go on with: convscope train --resume {folder}" if has_checkpoint else "nothing was learned yet"
        self.args = (f"{self}; {then}",)


class StopRequest:
    """Holds whether a stop was asked for; as a context it listens to SIGINT and SIGTERM in the main thread.

    After SIGTERM the next batch's end should come within `patience_s`. When it does not (a long validation pass, a
    frozen network run over many pictures), training stops where it is, and the checkpoint before it counts.

    Elsewhere (a worker thread of a server) no signal arrives; set `signal_number` instead to ask.
    """

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        """Nothing is asked yet."""
        self.signal_number: int | None = None
        self._patience_s = patience_s
        self._before: dict[int, Any] = {}
        self._timer: threading.Timer | None = None
        self._is_late = False

    def __enter__(self) -> StopRequest:
        """Listen."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._asked)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back to whoever had them."""
        self.settle()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def settle(self) -> None:
        """Say that the stop is under way: a checkpoint being written is not cut short."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._is_late = None, False

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self._is_late and number == signal.SIGTERM:
            self._is_late = False
            raise TrainingStopped(number, "training stopped inside a long step; the last checkpoint counts")
        if self.signal_number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal_number is None and number == signal.SIGTERM:
            self._timer = threading.Timer(self._patience_s, self._press)
            self._timer.daemon = True
            self._timer.start()
        self.signal_number = number

    def _press(self) -> None:
        """In the timer's thread: let the signal's handler run once more in the main thread."""
        self._is_late = True
        _thread.interrupt_main(signal.SIGTERM)
