"""Identical pictures: files of the same bytes, found by SHA-256 among files of the same size."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from convscope.data.files_source import FilesSource
from convscope.data.regular import read_regular
from convscope.errors import PictureError
from convscope.records.progress import Progress, silent
from convscope.records.samples import PictureSource, Samples


def identical_pictures(
    samples: Samples, *, progress: Progress = silent, workers: int | None = None
) -> tuple[tuple[int, ...], ...]:
    """Groups of two and more indices whose files (or arrays) are the same bytes; unreadable ones are in no group.

    For files only those that share their size with another are read.
    """
    source = samples.pictures
    sizes = [_size(source, i) for i in range(len(source))]
    sharing: dict[object, list[int]] = {}
    for index, size in enumerate(sizes):
        if size is not None:
            sharing.setdefault(size, []).append(index)
    suspects = [i for group in sharing.values() if len(group) > 1 for i in group]
    by_digest: dict[bytes, list[int]] = {}
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        for done, (index, digest) in enumerate(zip(suspects, pool.map(lambda i: _digest(source, i), suspects)), 1):
            if digest:
                by_digest.setdefault(digest, []).append(index)
            progress("compare pictures", done, len(suspects))
    return tuple(tuple(sorted(g)) for g in by_digest.values() if len(g) > 1)


def _size(source: PictureSource, index: int) -> int | None:
    if not isinstance(source, FilesSource):
        return 0
    try:
        return os.stat(source.path(index)).st_size
    except (OSError, ValueError):
        return None


def _digest(source: PictureSource, index: int) -> bytes:
    """SHA-256 of one picture's file or array, b"" if it can't be read."""
    try:
        if isinstance(source, FilesSource):
            return hashlib.sha256(read_regular(source.path(index), key=source.keys[index])).digest()
        return array_digest(source.read(index, 3).values)
    except PictureError:
        return b""


def array_digest(values: np.ndarray) -> bytes:
    """SHA-256 of an array's shape, dtype and values."""
    head = f"{values.shape} {values.dtype.str}\n".encode()
    return hashlib.sha256(head + np.ascontiguousarray(values).tobytes()).digest()
