"""One picture file to values in 0..255: the door to all decoders."""

from __future__ import annotations

from pathlib import Path

from convscope.data.formats import sniff, why_not_a_picture
from convscope.data.jpeg import decode_jpeg
from convscope.data.naming import shown
from convscope.data.others import decode_other
from convscope.data.regular import read_regular
from convscope.data.stored import DEFAULT_LIMITS, Limits, Stored
from convscope.errors import PictureError
from convscope.records.samples import Picture


def decode_stored(
    data: bytes,
    key: str,
    *,
    channels: int,
    at_least_hw: tuple[int, int] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Stored:
    """Decode a picture file's bytes and say how they were stored; see `decode_picture`."""
    if channels not in (1, 3):
        raise PictureError(shown(key), f"expected 1 or 3 channels to be asked for, got {channels}")
    format = sniff(data)
    if not format:
        raise PictureError(shown(key), why_not_a_picture(data))
    if format == "JPEG":
        return decode_jpeg(data, shown(key), channels=channels, at_least_hw=at_least_hw, limits=limits)
    return decode_other(data, shown(key), format=format, channels=channels, limits=limits)


def decode_picture(
    data: bytes,
    key: str,
    channels: int,
    at_least_hw: tuple[int, int] | None = None,
    *,
    fast: bool = True,
    limits: Limits = DEFAULT_LIMITS,
) -> Picture:
    """Decode JPEG, PNG, BMP, GIF, WebP or TIFF, told from the content, upright and in a declared range.

    Args:
        data: the file's bytes.
        key: the picture's name in errors.
        channels: 3 for RGB, 1 for grey.
        at_least_hw: height and width in pixels, after orientation, below which the result must not fall; then a JPEG
            is decoded at the smallest of libjpeg's scales k/8 that keeps both. None, or fast=False: full size.
        fast: whether reduced decoding is allowed. After fitting, 224 x 224 frames of 640 x 480 photographs differ from
            full decoding by 0.3 (smooth) to 2.1 (fine texture) of 255 per value on average, without bias; with a floor
            1.25 times the frame by 0.3 to 1.5.
        limits: pictures that claim more are refused by their header.

    Returns:
        values (h, w, channels), uint8 or, for more than 8 bits, float32; both in 0..255.

    Raises:
        PictureError: can't be read; its `reason` says why.
    """
    floor = at_least_hw if fast else None
    return decode_stored(data, key, channels=channels, at_least_hw=floor, limits=limits).picture


def decode_file(
    path: str | Path,
    channels: int,
    at_least_hw: tuple[int, int] | None = None,
    *,
    key: str = "",
    fast: bool = True,
    limits: Limits = DEFAULT_LIMITS,
) -> Picture:
    """Read an ordinary file and decode it; see `decode_picture`.

    Raises:
        PictureError: not an ordinary file (link that loops, pipe, socket, device, folder), or can't be decoded.
    """
    name = key or str(path)
    return decode_picture(read_regular(path, key=name), name, channels, at_least_hw, fast=fast, limits=limits)
