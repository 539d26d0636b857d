"""One writer per run folder: an advisory lock that the operating system drops when its process dies."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from convscope.errors import DataError, ModelError, PlanError, RunLockedError
from convscope.files.atomic import storage_error

try:
    import fcntl
except ImportError:  # Windows has no fcntl; there the lock file only informs
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"

_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
_TRIES_S = (0.02, 0.05, 0.1)  # who only asks (`is_held`) is in the way for an instant


class FolderLock:
    """Hold `folder` for this process; a second process is refused with the first one's host, pid and start.

    The kernel releases the lock when the holder ends, however it ends, so a stale lock can't block anyone. Where the
    file system knows no locks, the file's pid decides: a dead process on this host holds nothing.

    Attributes:
        taken_over: in words, whose lock this was when its holder ended without releasing it; "" for nobody's.
    """

    def __init__(self, folder: Path) -> None:
        """Remember the folder; nothing is locked before `__enter__`."""
        self.path = folder / LOCK
        self.taken_over = ""
        self._handle: int | None = None

    def __enter__(self) -> FolderLock:
        """Take the lock or raise RunLockedError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise storage_error(self.path, error) from error
        try:
            self._take(handle)
            before = _facts(handle)
            if before:
                self.taken_over = f"a process that ended without releasing it ({_words(before)})"
            _write(handle, _myself())
        except OSError as error:
            os.close(handle)
            raise storage_error(self.path, error) from error
        except RunLockedError:
            os.close(handle)
            raise
        self._handle = handle
        return self

    def _take(self, handle: int) -> None:
        for pause_s in (*_TRIES_S, None) if fcntl is not None else ():
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError as error:
                if error.errno not in _HELD:
                    break
                if pause_s is None:
                    raise self._refusal(_facts(handle)) from error
                time.sleep(pause_s)
        facts = _facts(handle)  # no locks here
        if facts and _may_live(facts):
            raise self._refusal(facts)

    def _refusal(self, facts: dict[str, Any]) -> RunLockedError:
        return RunLockedError(
            f"{self.path.parent}: another process writes this run ({_words(facts)}); "
            "wait for it, stop it, or choose another --out"
        )

    def __exit__(self, *_: object) -> None:
        """Release the lock; the empty file stays, so that nobody locks a name that another is about to remove."""
        if self._handle is not None:
            try:
                os.ftruncate(self._handle, 0)
            finally:
                os.close(self._handle)
                self._handle = None


def is_held(folder: Path) -> bool:
    """Whether a living process holds `folder`. It is asked without taking the lock: any number may ask at once.

    Raises:
        StorageError: the lock file can't be read.
    """
    try:
        handle = os.open(folder / LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise storage_error(folder / LOCK, error) from error
    try:
        if fcntl is not None:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return False
            except OSError as error:
                if error.errno in _HELD:
                    return True
        facts = _facts(handle)  # no locks here
        return bool(facts) and _may_live(facts)
    finally:
        os.close(handle)


@contextmanager
def new_folder(folder: Path, *, begun: str, learned: str) -> Iterator[None]:
    """Hold a folder that something new is about to be written to; where nothing comes of it, it is as it was before.

    When the block fails too early, all that was not there before goes away again, parents made for it included.

    Args:
        folder: made when absent.
        begun: pattern of a file that says that it has begun, "journal.jsonl"; too early is before there is one.
        learned: pattern of what is worth keeping, "checkpoints/*"; for a refusal (a plan, data or a model that can't
            work) too early is before there is one of these.

    Raises:
        RunLockedError, StorageError: see `FolderLock`.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    before = set() if made else set(os.listdir(folder))
    with FolderLock(folder):
        try:
            yield
        except BaseException as error:
            sign = learned if isinstance(error, PlanError | DataError | ModelError) else begun
            if not any(folder.glob(sign)):
                _take_away(folder, before, made)
            raise


def _take_away(folder: Path, before: set[str], made: list[Path]) -> None:
    for name in set(os.listdir(folder)) - before:
        place = folder / name
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place, ignore_errors=True)
        else:
            with suppress(OSError):
                place.unlink()
    with suppress(OSError):  # another process may have put something beside it
        for place in made:
            place.rmdir()


def _myself() -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": now}


def _write(handle: int, facts: dict[str, Any]) -> None:
    os.ftruncate(handle, 0)
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, json.dumps(facts).encode())


def _facts(handle: int) -> dict[str, Any]:
    """What the file says of its holder; {} for nothing that can be read."""
    os.lseek(handle, 0, os.SEEK_SET)
    try:
        found = json.loads(os.read(handle, 4096).decode("utf-8", "replace"))
        return {"pid": int(found["pid"]), "host": str(found["host"]), "since": str(found.get("since", ""))}
    except (ValueError, KeyError, TypeError):
        return {}


def _words(facts: dict[str, Any]) -> str:
    if not facts:
        return "unknown process"
    return f"pid {facts['pid']} on {facts['host']}" + (f", since {facts['since']}" if facts["since"] else "")


def _may_live(facts: dict[str, Any]) -> bool:
    """False where the holder is known to have ended, or where one can't ask (Windows): there the file only informs."""
    if os.name != "posix":
        return False
    if facts["host"] != socket.gethostname():
        return True
    try:
        os.kill(facts["pid"], 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return bool(facts["pid"] != os.getpid())
