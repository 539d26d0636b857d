"""One picture as the row of a batch: read, fitted, kept for the next pass, or replaced when it can't be read."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np

from convscope.data.budget import CacheBudget
from convscope.data.cache import SUFFIX, Cache, DiskCache, MemoryCache, cache_key, make_room
from convscope.data.fit import fit_picture
from convscope.errors import DataError, PictureError
from convscope.records.geometry import Preprocess
from convscope.records.samples import Samples, SetAside

Unreadable = Literal["replace", "drop", "raise"]
DROPPED = -1  # in place of the index of a picture that was left out
_SIZED = ("letterbox", "crop", "stretch")


@dataclass(frozen=True)
class Taken:
    """What `PictureRows.take` could not simply write to the output.

    Attributes:
        indices: (n,) int64 of the pictures really taken; DROPPED where one was left out.
        others: position -> row that was not written: there is no output, or it is uint8 and the row float32.
    """

    indices: np.ndarray
    others: dict[int, np.ndarray]


class PictureRows:
    """Rows by picture index; safe to use from several threads.

    Args:
        unreadable: "replace" by the next readable picture in index order, "drop", or "raise".
        fast_decode: JPEGs may be decoded at a reduced size (see PictureSource.read).
    """

    def __init__(
        self,
        samples: Samples,
        preprocess: Preprocess,
        *,
        budget: CacheBudget,
        fast_decode: bool,
        unreadable: Unreadable,
    ) -> None:
        """Nothing is read yet; see `like`."""
        self._samples, self._preprocess = samples, preprocess
        self._budget, self._fast_decode, self._unreadable = budget, fast_decode, unreadable
        is_sized = preprocess.fit in _SIZED
        self._at_least_hw = (preprocess.height or 0, preprocess.width or 0) if is_sized and fast_decode else None
        self._cache: Cache | None = None
        self._is_sized = is_sized
        self._like: np.ndarray | None = None
        self._lock = threading.Lock()
        self._reasons: dict[int, str] = {}
        self.cache_words = "nothing kept"

    def like(self) -> np.ndarray | None:
        """Return the first readable row, whose shape and type others share; the first call reads it.

        None when rows may differ in shape: fit="native" and "as-is"; such rows are not kept either.
        """
        if self._is_sized and self._like is None:
            with self._lock:
                if self._like is None:
                    row = self._first()
                    self._cache = self._choose_cache(row)
                    self._like = row
        return self._like

    @property
    def set_aside(self) -> tuple[SetAside, ...]:
        """Pictures that could not be read so far, each once, in index order."""
        keys = self._samples.pictures.keys
        return tuple(SetAside(keys[i], reason) for i, reason in sorted(self._reasons.items()))

    def take(self, indices: np.ndarray, out: np.ndarray | None) -> Taken:
        """Write rows to `out` (n, height, width, channels); return those that it can't hold, all of them if it is None.

        Raises:
            PictureError: a picture can't be read and unreadable="raise".
            DataError: none of all the pictures can be read.
        """
        if out is not None and self._cache is not None and self._cache.take(indices, out):
            return Taken(indices, {})
        used, others = indices.copy(), {}
        for position, index in enumerate(indices.tolist()):
            row = None if out is None else out[position]
            used[position], other = self._readable(index, row)
            if other is not None:
                others[position] = other
        return Taken(used, others)

    def _first(self) -> np.ndarray:
        for index in range(len(self._samples)):
            _, row = self._readable(index, None)
            if row is not None:
                return row
        raise self._none_readable()

    def _none_readable(self) -> DataError:
        n, first = len(self._samples), self.set_aside[0]
        return DataError(
            f"expected at least one readable picture of {n}, got none; the first, {first.key}: {first.reason}"
        )

    def _readable(self, index: int, out: np.ndarray | None) -> tuple[int, np.ndarray | None]:
        n = len(self._samples)
        for candidate in range(index, index + n):
            try:
                return candidate % n, self._row(candidate % n, out)
            except PictureError as error:
                if self._unreadable == "raise":
                    raise
                self._reasons[candidate % n] = error.reason
            if self._unreadable == "drop":
                return DROPPED, None
        raise self._none_readable()

    def _row(self, index: int, out: np.ndarray | None) -> np.ndarray | None:
        """Write the row to `out` and return None, or return the row when it does not fit there."""
        if index in self._reasons:
            raise PictureError(self._samples.pictures.keys[index], self._reasons[index])
        if out is not None and self._cache is not None and self._cache.get(index, out):
            return None
        picture = self._samples.pictures.read(index, self._preprocess.channels, self._at_least_hw)
        row, _ = fit_picture(picture, self._preprocess, out)
        if self._cache is not None:
            self._cache.put(index, row)
        if out is None or not np.can_cast(row.dtype, out.dtype):
            return row
        if row is not out:
            out[...] = row
        return None

    def _choose_cache(self, row: np.ndarray) -> Cache | None:
        n = len(self._samples)
        need = n * row.nbytes
        cache: Cache
        if need <= self._budget.memory_limit():
            cache = MemoryCache(n, row)
        elif self._budget.folder is not None and self._samples.root is not None and need <= self._budget.disk_limit():
            try:
                cache = self._open_disk(self._budget.folder, row, need)
            except OSError as error:  # a cache is a comfort; without it the work goes on, slower
                self.cache_words = f"nothing kept: {error}"
                return None
        else:
            self.cache_words = f"nothing kept: {need / 1e6:.0f} MB are more than the budget"
            return None
        self.cache_words = cache.words
        return cache

    def _open_disk(self, folder: Path, row: np.ndarray, need: int) -> DiskCache:
        facts = {
            "root": str(self._samples.root),
            "preprocess": self._preprocess.as_dict(),
            "fast_decode": self._fast_decode,
            "type": row.dtype.str,
            "decoders": [version("pillow"), version("simplejpeg")],
        }
        path = folder / (cache_key(facts, tuple(self._samples.pictures.keys)) + SUFFIX)
        make_room(folder, path, self._budget.disk_limit() - need)
        return DiskCache(path, len(self._samples), row, self._stamp)

    def _stamp(self, index: int) -> tuple[int, int] | None:
        """Size and time of change of the picture's file; None when it has none."""
        if self._samples.root is None:
            return None
        try:
            facts = os.stat(self._samples.root / self._samples.pictures.keys[index])
        except OSError:
            return None
        return facts.st_size, facts.st_mtime_ns
