"""Decoded pictures kept for later passes: rows of one array in memory, or of one file on disk.

Every row on disk carries a CRC-32 over its bytes and over size and time of the picture it was made from, and is
checked when a process reads it for the first time. So a damaged row, a row that a killed process left half-written and
a row whose picture has changed are all simply absent and made anew; no other state has to be right.
"""

from __future__ import annotations

import hashlib
import json
import threading
import weakref
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from convscope.errors import StorageError
from convscope.files.atomic import atomic_file

FORMAT = 1
SUFFIX = ".pictures"
_HEADER_BYTES = 4096
_RECORD = np.dtype([("size", "<i8"), ("time_ns", "<i8"), ("crc", "<u4"), ("is_filled", "<u4")])

Stamp = Callable[[int], tuple[int, int] | None]  # picture index -> size in bytes and time of change in ns


class Cache(Protocol):
    """Rows by picture index; safe to use from several threads."""

    words: str

    def get(self, index: int, out: np.ndarray) -> bool:
        """Copy row `index` to `out` and return True, or return False when it is not there."""
        ...

    def take(self, indices: np.ndarray, out: np.ndarray) -> bool:
        """Copy all these rows to `out` (n, ...) at once and return True, or do nothing and return False."""
        ...

    def put(self, index: int, row: np.ndarray) -> None:
        """Keep a row; one that has another shape or type than the first is not kept."""
        ...


class MemoryCache:
    """Rows in one array; the system gives memory for a row only when it is filled."""

    def __init__(self, n: int, like: np.ndarray) -> None:
        """Make room for `n` rows of the shape and type of `like`."""
        self._rows = np.empty((n, *like.shape), like.dtype)
        self._is_filled = np.zeros(n, bool)
        self.words = f"in memory, {self._rows.nbytes / 1e6:.0f} MB"

    def get(self, index: int, out: np.ndarray) -> bool:
        """Copy one row if it is there."""
        if not self._is_filled[index] or not _is_like(out, self._rows[index]):
            return False
        out[...] = self._rows[index]
        return True

    def take(self, indices: np.ndarray, out: np.ndarray) -> bool:
        """Copy rows in one call of NumPy, which lets other threads run meanwhile."""
        if not self._is_filled[indices].all() or not _is_like(out[0], self._rows[0]):
            return False
        np.take(self._rows, indices, axis=0, out=out, mode="clip")  # the default mode would copy twice
        return True

    def put(self, index: int, row: np.ndarray) -> None:
        """Keep a row."""
        if _is_like(row, self._rows[index]):
            self._rows[index] = row
            self._is_filled[index] = True


class DiskCache:
    """Rows in one file: header, one record per row, rows. Rows that earlier runs wrote are found again.

    Args:
        path: the file; its name should hold a key of all that decides the rows (see `cache_key`).
        n: how many rows.
        like: a row.
        stamp: size and time of change of a picture's file.

    Raises:
        StorageError: the file can't be made.
    """

    def __init__(self, path: Path, n: int, like: np.ndarray, stamp: Stamp) -> None:
        """Open the file, or make a new one where it is absent or not what it should be."""
        self._shape, self._dtype, self._stamp = like.shape, like.dtype, stamp
        self._row_bytes = like.nbytes
        self._rows_at = _HEADER_BYTES + n * _RECORD.itemsize
        self._header = _header(n, like)
        total = self._rows_at + n * self._row_bytes
        if not self._is_sound(path, total):
            self._make(path, total)
        self._file = open(path, "r+b", buffering=0)  # noqa: SIM115 - stays open as long as the cache lives
        weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()
        self._file.seek(_HEADER_BYTES)
        self._records = np.frombuffer(bytearray(self._file.read(n * _RECORD.itemsize)), _RECORD)
        self._is_checked = np.zeros(n, bool)
        self._is_writable = True
        self.words = f"on disk, {total / 1e6:.0f} MB in {path}"

    def _is_sound(self, path: Path, total: int) -> bool:
        try:
            with open(path, "rb") as file:
                return file.read(_HEADER_BYTES) == self._header and path.stat().st_size == total
        except OSError:
            return False

    def _make(self, path: Path, total: int) -> None:
        with atomic_file(path) as temporary, open(temporary, "wb") as file:
            file.write(self._header)
            file.truncate(total)

    def get(self, index: int, out: np.ndarray) -> bool:
        """Read one row; the first time check it against its picture and its checksum."""
        if not self._records[index]["is_filled"] or out.shape != self._shape or out.dtype != self._dtype:
            return False
        buffer = out.data.cast("B")
        with self._lock:
            self._file.seek(self._rows_at + index * self._row_bytes)
            if self._file.readinto(buffer) != self._row_bytes:
                return False
        if self._is_checked[index]:
            return True
        record = self._records[index]
        stamp = (int(record["size"]), int(record["time_ns"]))
        if self._stamp(index) != stamp or _crc(buffer, stamp) != record["crc"]:
            self._records[index] = (0, 0, 0, 0)
            return False
        self._is_checked[index] = True
        return True

    def take(self, indices: np.ndarray, out: np.ndarray) -> bool:
        """Rows on disk are read one by one; see `get`."""
        return False

    def put(self, index: int, row: np.ndarray) -> None:
        """Write a row, then its record; when the disk refuses, nothing more is written and `words` says so."""
        stamp = self._stamp(index)
        if not self._is_writable or stamp is None or row.shape != self._shape or row.dtype != self._dtype:
            return
        buffer = np.ascontiguousarray(row).data.cast("B")
        record = np.array([(*stamp, _crc(buffer, stamp), 1)], _RECORD)
        try:
            with self._lock:
                self._file.seek(self._rows_at + index * self._row_bytes)
                self._file.write(buffer)
                self._file.seek(_HEADER_BYTES + index * _RECORD.itemsize)
                self._file.write(record.tobytes())
        except OSError as error:
            self._is_writable = False
            self.words += f"; writing stopped: {error.strerror}"
            return
        self._records[index] = record[0]
        self._is_checked[index] = True


def cache_key(facts: dict[str, Any], keys: tuple[str, ...]) -> str:
    """Name all that decides the rows: options (JSON) and the pictures' keys in their order; 32 hex digits."""
    digest = hashlib.sha256(json.dumps({"format": FORMAT, **facts}, sort_keys=True).encode())
    for key in keys:
        digest.update(key.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()[:32]


def make_room(folder: Path, keep: Path, limit_bytes: int) -> None:
    """Remove the least recently changed cache files until the others take at most `limit_bytes`; `keep` stays.

    Raises:
        StorageError: a file can't be removed.
    """
    others = sorted((p for p in folder.glob(f"*{SUFFIX}") if p != keep), key=lambda p: p.stat().st_mtime)
    total = sum(p.stat().st_size for p in others)
    for path in others:
        if total <= limit_bytes:
            return
        total -= path.stat().st_size
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(
                f"can't remove the old cache file {path}: {error.strerror}; remove it by hand"
            ) from error


def _header(n: int, like: np.ndarray) -> bytes:
    facts = {"what": "convscope pictures", "format": FORMAT, "rows": n, "shape": like.shape, "type": like.dtype.str}
    return json.dumps(facts).encode().ljust(_HEADER_BYTES)


def _crc(buffer: memoryview, stamp: tuple[int, int]) -> int:
    return zlib.crc32(np.array(stamp, "<i8").tobytes(), zlib.crc32(buffer))


def _is_like(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype
