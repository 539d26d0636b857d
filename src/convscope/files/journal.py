"""journal.jsonl: what happened in a run, one JSON object per line, in order, flushed line by line.

Terminal, report and studio show what stands here; nothing else is the state of a run.
A process that dies while it writes leaves at most one torn last line, which reading passes over; the first line comes
by a rename, so a journal that is there has begun.
"""

from __future__ import annotations

import json
import math
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from convscope.errors import RunError
from convscope.files.atomic import storage_error, write_bytes

JOURNAL = "journal.jsonl"


def plain(value: Any) -> Any:
    """Turn arrays, NumPy scalars, paths and tuples into plain JSON values; NaN and infinity become None."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bool):
        return value
    return str(value)


class JournalFile:
    """Append events to `folder/journal.jsonl`.

    Every event gets `event` (its kind), `step` (its place, counted on over a resume), `time` (UTC, ISO 8601)
    and `clock_s` (seconds on this process' monotonic clock, for durations that a changed clock can't spoil).
    """

    def __init__(self, folder: Path) -> None:
        """Open for appending; a torn last line of a killed process is cut off first."""
        self.path = folder / JOURNAL
        self._step = self._good = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if self.path.exists():
                events, self._good = _parse(self.path)
                self._step = len(events)
                os.truncate(self.path, self._good)
        except OSError as error:
            raise storage_error(self.path, error) from error

    def write(self, event: str, **facts: Any) -> None:
        """Append one event with its facts (see `plain` for what they may be).

        Raises:
            StorageError: the disk refuses; the journal then ends with the event before.
        """
        line = {
            "event": event,
            "step": self._step,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "clock_s": round(time.monotonic(), 3),
            **plain(facts),
        }
        data = (json.dumps(line, ensure_ascii=True) + "\n").encode()
        if self._good == 0:
            write_bytes(self.path, data)
        else:
            self._append(data)
        self._step += 1
        self._good += len(data)

    def _append(self, data: bytes) -> None:
        try:
            with open(self.path, "ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            with suppress(OSError):  # half a line must not stand before the next event
                os.truncate(self.path, self._good)
            raise storage_error(self.path, error) from error


def _parse(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Return the events and how many leading bytes of the file are whole lines."""
    data = path.read_bytes()
    events: list[dict[str, Any]] = []
    good = 0
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            events.append(json.loads(line))
        except ValueError as error:
            raise RunError(f"{path}:{number}: expected a JSON object; the journal is damaged") from error
        good += len(line) + 1
    return events, good


def read_journal(folder: Path) -> list[dict[str, Any]]:
    """All whole events of a run folder, in order.

    Raises:
        RunError: no journal there, or a damaged line in its middle.
    """
    path = folder / JOURNAL
    if not path.is_file():
        raise RunError(f"{folder}: expected a run folder with a {JOURNAL}, found none")
    events = _parse(path)[0]
    if not events:
        raise RunError(f"{path}: expected at least one event, the journal is empty; remove it and start the run again")
    return events
