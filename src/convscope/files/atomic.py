"""Write a file or a folder whole or not at all: temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from convscope.errors import StorageError

TEMPORARY_PREFIX = ".tmp-"

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space and start again",
    errno.EDQUOT: "the disk quota is used up; free some space and start again",
    errno.EFBIG: "the file would be larger than this account may write",
    errno.EACCES: "no permission to write there; choose another folder",
    errno.EPERM: "no permission to write there; choose another folder",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.ENAMETOOLONG: "the path is too long; choose a shorter name",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another folder",
}


def storage_error(path: Path | str, error: OSError) -> StorageError:
    """Turn an OSError into one line: where, why, what to do."""
    reason = _REASONS.get(error.errno or 0, f"{error.strerror or error}; check the path and try again")
    return StorageError(f"can't write {path}: {reason}")


def sync_folder(folder: Path) -> None:
    """Let what was renamed into a folder outlive a power cut."""
    if os.name != "posix":  # other systems can't open a folder for fsync
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _temporary(path: Path) -> Path:
    return path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{path.name}")


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; it takes the place of `path` only if the block succeeds.

    Raises:
        StorageError: naming `path`, when the disk refuses; the file that was there before stays as it was.
    """
    temporary = _temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except StorageError:
        raise
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder to fill; it becomes `path` by one rename if the block succeeds.

    An older folder of that name is moved aside first and removed last, so a reader finds the old or the new one.
    """
    temporary, old = _temporary(path), path.with_name(f"{TEMPORARY_PREFIX}old-{os.getpid()}-{path.name}")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        for file in sorted(p for p in temporary.rglob("*") if p.is_file()):
            with open(file, "rb+") as handle:
                os.fsync(handle.fileno())
        sync_folder(temporary)
        if path.exists():
            os.replace(path, old)
        os.replace(temporary, path)
        sync_folder(path.parent)
    except StorageError:
        raise
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if old.exists() and not path.exists():  # the second rename failed: the older folder takes its place again
            with suppress(OSError):
                os.replace(old, path)
        shutil.rmtree(old, ignore_errors=True)


def remove_folder(path: Path) -> None:
    """Remove a folder so that a reader finds it whole or not at all: its name goes first, then its files."""
    aside = path.with_name(f"{TEMPORARY_PREFIX}gone-{os.getpid()}-{path.name}")
    with suppress(OSError):
        os.replace(path, aside)
        shutil.rmtree(aside, ignore_errors=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8; characters that UTF-8 can't hold (odd file names) are escaped."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON; NaN and infinity are refused, since JSON has none."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def sweep_temporary(folder: Path, *inside: str) -> list[str]:
    """Remove what killed writers left in `folder` and in its folders named `inside`; return the names removed.

    A writer killed between the two renames of `atomic_folder` leaves only the older folder, under its aside name:
    that one is put back.
    """
    removed = []
    places = (folder, *(folder / name for name in inside))
    for leftover in sorted(path for place in places for path in place.glob(f"{TEMPORARY_PREFIX}*")):
        aside = leftover.name.removeprefix(f"{TEMPORARY_PREFIX}old-").partition("-")[2]
        if leftover.name.startswith(f"{TEMPORARY_PREFIX}old-") and not leftover.with_name(aside).exists():
            os.replace(leftover, leftover.with_name(aside))
        elif leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
            removed.append(leftover.name)
        else:
            leftover.unlink(missing_ok=True)
            removed.append(leftover.name)
    return removed
