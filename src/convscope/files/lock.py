"""One writer per run folder: an advisory lock that the operating system drops when its process dies."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from convscope.errors import RunLockedError
from convscope.files.atomic import storage_error

try:
    import fcntl
except ImportError:  # Windows has no fcntl; there the lock file only informs
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


class FolderLock:
    """Hold `folder` for this process; a second process is refused with the first one's host and pid.

    The kernel releases the lock when the holder ends, however it ends, so a stale lock can't block anyone.
    """

    def __init__(self, folder: Path) -> None:
        """Remember the folder; nothing is locked before `__enter__`."""
        self.path = folder / LOCK
        self._handle: int | None = None

    def __enter__(self) -> FolderLock:
        """Take the lock or raise RunLockedError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise storage_error(self.path, error) from error
        if fcntl is not None:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                holder = os.pread(handle, 4096, 0).decode("utf-8", "replace")
                os.close(handle)
                raise RunLockedError(
                    f"{self.path.parent}: another process writes this run ({_holder(holder)}); "
                    "wait for it, stop it, or choose another --out"
                ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode(), 0)
        self._handle = handle
        return self

    def __exit__(self, *_: object) -> None:
        """Release the lock; the file stays, so that nobody locks a name that another is about to remove."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _holder(text: str) -> str:
    try:
        facts = json.loads(text)
        return f"pid {int(facts['pid'])} on {facts['host']}"
    except (ValueError, KeyError, TypeError):
        return "unknown process"
