"""Write shards of a store: maps cut into pieces, compressed, checksummed, each shard one file, several at a time.

The bytes are those of Zarr v3's `sharding_indexed` codec (pieces, then their index, then its CRC-32C). Own code,
because the general engine moves the channels of a piece together value by value; here 16 bytes are moved at a time,
and one shard is compressed while another one waits for the disk.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from convscope.errors import MissingExtraError
from convscope.files.atomic import TEMPORARY_PREFIX, sync_folder
from convscope.scope.chunking import chunk_shape
from convscope.scope.store_layout import LayerArray

WRITERS = 3  # one more than is computing: it waits for the disk
_ABSENT = 2**64 - 1  # a piece that lies beyond the last picture
_CHECKSUM = 4  # bytes
_BUFFER = 1 << 20
_WORDS: dict[int, Any] = {16: np.complex128, 8: np.uint64, 4: np.uint32, 2: np.uint16}


def packers() -> tuple[Any, Any]:
    """(numcodecs.blosc, google_crc32c): compression and checksums.

    Raises:
        MissingExtraError: not installed.
    """
    try:
        import google_crc32c
        from numcodecs import blosc
    except ImportError as error:
        raise MissingExtraError(
            f"stores of feature maps need {error.name}, which is not installed; run: pip install 'convscope[store]'"
        ) from error
    return blosc, google_crc32c


@dataclass(frozen=True)
class ShardWriter:
    """Writes the rows of one block of pictures at a time.

    Attributes:
        folder: the store; its arrays were made by `open_arrays`.
        entries: one per layer.
        block: pictures in one shard.
        codec: "lz4" or "zstd".
    """

    folder: Path
    entries: Sequence[LayerArray]
    block: int
    codec: str

    def write(self, held: Mapping[str, np.ndarray], number: int) -> None:
        """Write block `number` of every array and return when all is on the disk.

        Args:
            held: by array name, (rows, height, width, channels) or (rows, columns), at most `block` rows; fewer only
                in the last block.
            number: of the block, from 0.

        Raises:
            OSError: the disk refuses.
        """
        packers()
        layers = {e.array for e in self.entries}
        with ThreadPoolExecutor(WRITERS) as pool:
            jobs = [
                pool.submit(self._shard if name in layers else self._table, name, values, number)
                for name, values in sorted(held.items(), key=lambda item: -item[1].nbytes)
            ]
            for job in jobs:
                job.result()

    def _shard(self, name: str, values: np.ndarray, number: int) -> None:
        rows, _, _, channels = chunk_shape(values.shape[1:], values.itemsize, self.block)
        groups = values.shape[3] // channels
        index = np.full((self.block // rows, groups, 2), _ABSENT, "<u8")
        blosc, _ = packers()
        shuffle, cname, at = blosc.BITSHUFFLE, self.codec.encode(), 0

        def write(file: BinaryIO) -> None:
            nonlocal at
            for start in range(0, len(values), rows):
                pieces = moved_together(_padded(values[start : start + rows], rows), channels)
                for group in range(groups):
                    packed = blosc.compress(pieces[group], cname, 1, shuffle, 0, values.itemsize)
                    file.write(packed)
                    file.write(_checksum(packed))
                    index[start // rows, group] = at, len(packed) + _CHECKSUM
                    at += len(packed) + _CHECKSUM
            told = index.tobytes()
            file.write(told + _checksum(told))

        self._file(name, f"c.{number}.0.0.0", write)

    def _table(self, name: str, values: np.ndarray, number: int) -> None:
        data = _padded(values, self.block).astype("<f4", copy=False).tobytes()
        self._file(name, f"c.{number}.0", lambda file: file.write(data + _checksum(data)))

    def _file(self, array: str, key: str, write: Callable[[BinaryIO], object]) -> None:
        """Whole or not at all: a reader beside us must never meet half a shard."""
        folder = self.folder / array
        temporary = folder / f"{TEMPORARY_PREFIX}{key}"
        try:
            with open(temporary, "wb", buffering=_BUFFER) as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, folder / key)
            sync_folder(folder)
        finally:
            temporary.unlink(missing_ok=True)


def moved_together(values: np.ndarray, channels: int) -> np.ndarray:
    """(rows, height, width, c) -> (c / channels, rows, height, width, channels): each group of channels in one piece.

    A group's bytes at one place are moved as numbers of up to 16 bytes, never value by value.
    """
    rows, height, width, count = values.shape
    groups, size = count // channels, channels * values.itemsize
    word = gcd(size, 16)
    words = np.ascontiguousarray(values).view(np.uint8).reshape(rows * height * width, groups, size).view(_WORDS[word])
    return (
        np.ascontiguousarray(words.transpose(1, 0, 2)).view(values.dtype).reshape(groups, rows, height, width, channels)
    )


def _padded(values: np.ndarray, rows: int) -> np.ndarray:
    if len(values) == rows:
        return values
    return np.concatenate([values, np.zeros((rows - len(values), *values.shape[1:]), values.dtype)])


def _checksum(data: bytes) -> bytes:
    return int(packers()[1].value(data)).to_bytes(_CHECKSUM, "little")
