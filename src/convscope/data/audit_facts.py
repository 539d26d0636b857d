"""What a scan keeps of each picture: one pass over the files, in threads, about half a kilobyte per picture."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from convscope.data.decode import decode_stored
from convscope.data.files_source import FilesSource
from convscope.data.hashing import array_digest
from convscope.data.perceptual import difference_hashes, thumbnail
from convscope.data.stored import with_channels
from convscope.errors import PictureError
from convscope.records.progress import Progress
from convscope.records.samples import PictureSource, Samples

# Enough for hashes, thumbnails, brightness and tint; a JPEG is decoded at the smallest scale above it.
_LOOK_HW = (96, 96)
_BLOCK = 512
_TINT_LEVELS = 6  # JPEG noise stays below this many grey levels between the channels


@dataclass(frozen=True, eq=False)
class Facts:
    """One readable picture.

    Attributes:
        index: its place in the samples.
        size: bytes of the file; of the array for arrays.
        digest: SHA-256 of the file's bytes (of the array's values).
        format, mode: as `decode.Stored` says; "array" and its dtype for arrays.
        orientation: EXIF orientation undone, 1 for none.
        notes: what the decoder did.
        hw: height and width in pixels.
        brightness: mean grey value, 0..255; `spread` is its standard deviation.
        is_tinted: some pixels are coloured.
        hash, mirror_hash, thumb: see `perceptual`.
    """

    index: int
    size: int
    digest: bytes
    format: str
    mode: str
    orientation: int
    notes: tuple[str, ...]
    hw: tuple[int, int]
    brightness: float
    spread: float
    is_tinted: bool
    hash: int
    mirror_hash: int
    thumb: np.ndarray


@dataclass(frozen=True)
class Unreadable:
    """A picture that can't be decoded."""

    index: int
    reason: str


def collect_facts(
    samples: Samples, *, progress: Progress, workers: int | None = None
) -> tuple[list[Facts], list[Unreadable]]:
    """Read every picture once; results in sample order whatever the number of threads."""
    source = samples.pictures
    good: list[Facts] = []
    bad: list[Unreadable] = []
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        for first in range(0, len(source), _BLOCK):  # blocks, so that a million pictures queue no million jobs
            for result in pool.map(partial(_look, source), range(first, min(first + _BLOCK, len(source)))):
                if isinstance(result, Facts):
                    good.append(result)
                else:
                    bad.append(result)
                progress("scan pictures", len(good) + len(bad), len(source))
    return good, bad


def _look(source: PictureSource, index: int) -> Facts | Unreadable:
    try:
        if isinstance(source, FilesSource):
            data = source.read_bytes(index)
            stored = decode_stored(data, source.keys[index], channels=3, at_least_hw=_LOOK_HW, limits=source.limits)
            picture, format, mode, turn = stored.picture, stored.format, stored.mode, stored.orientation
            size, digest = len(data), hashlib.sha256(data).digest()
        else:
            picture = source.read(index, 3)
            format, mode, turn = "array", str(picture.values.dtype), 1
            size, digest = picture.values.nbytes, array_digest(picture.values)
    except PictureError as error:
        return Unreadable(index, error.reason)
    values = _as_pixels(picture.values)
    grey = with_channels(values, 1) if values.shape[2] == 3 else values[:, :, :1]
    hashes = difference_hashes(grey)
    return Facts(
        index=index,
        size=size,
        digest=digest,
        format=format,
        mode=mode,
        orientation=turn,
        notes=picture.notes,
        hw=picture.source_hw,
        brightness=float(grey.mean()),
        spread=float(grey.std()),
        is_tinted=values.shape[2] == 3 and _tinted(values),
        hash=hashes[0],
        mirror_hash=hashes[1],
        thumb=thumbnail(grey),
    )


def _as_pixels(values: np.ndarray) -> np.ndarray:
    """Arrays of any range as 0..255, for looking only."""
    if values.dtype == np.uint8:
        return values
    pixels = np.nan_to_num(values.astype(np.float32))
    low, high = float(pixels.min()), float(pixels.max())
    if low >= 0 and 1 < high <= 255:
        return pixels
    return (pixels - low) * np.float32(255 / (high - low)) if high > low else np.zeros_like(pixels)


def _tinted(values: np.ndarray) -> bool:
    """Whether more than one pixel in a thousand is clearly coloured."""
    red, green, blue = values[:, :, 0], values[:, :, 1], values[:, :, 2]
    # twice as long as one call of ptp, and thirty times as fast: that walks along an axis of three
    most, least = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    return bool((most - least > _TINT_LEVELS).mean() > 0.001)
