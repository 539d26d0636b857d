"""JPEG through libjpeg-turbo (simplejpeg): reduced-size decoding, strict about truncation, no lock held."""

from __future__ import annotations

import io

import numpy as np
import simplejpeg
from PIL import Image, JpegImagePlugin

from convscope.data.exif import jpeg_metadata, orientation, swaps_sides, upright
from convscope.data.stored import Limits, Stored, check_size, with_channels
from convscope.errors import PictureError
from convscope.records.samples import Picture

_INKS = ("CMYK", "YCCK")
PILLOW_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
)


def decode_jpeg(data: bytes, key: str, *, channels: int, at_least_hw: tuple[int, int] | None, limits: Limits) -> Stored:
    """Decode one JPEG; with `at_least_hw` (after orientation) at the smallest scale k/8 that keeps both sides.

    Raises:
        PictureError: damaged, truncated, or larger than `limits`.
    """
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    except (ValueError, KeyError) as error:  # KeyError: a colour space that simplejpeg has no name for
        raise PictureError(key, f"damaged or truncated JPEG header ({_plain(error)})") from error
    check_size(key, (height, width), 4 if space in _INKS else 3, limits)
    turn, notes = _orientation(data)
    sides = (width, height) if swaps_sides(turn) else (height, width)
    values, more = _pixels(data, key, space, channels, _floor(at_least_hw, turn, (height, width)))
    mode = "CMYK" if space in _INKS else "grey" if space.lower() == "gray" else "colour"
    picture = Picture(upright(values, turn), sides, notes + more)
    return Stored(picture, "JPEG", mode, turn)


def _floor(at_least_hw: tuple[int, int] | None, turn: int, hw: tuple[int, int]) -> tuple[int, int]:
    """What libjpeg is asked for, in the file's own orientation; (0, 0) asks for the full size."""
    if at_least_hw is None:
        return 0, 0
    high, wide = at_least_hw[::-1] if swaps_sides(turn) else at_least_hw
    # a side that is short already must not be reduced at all: libjpeg would ignore a floor above the full size
    return (0, 0) if high >= hw[0] or wide >= hw[1] else (high, wide)


def _orientation(data: bytes) -> tuple[int, tuple[str, ...]]:
    exif, is_first_of_several = jpeg_metadata(data)
    number = orientation(exif)
    notes: tuple[str, ...] = ()
    if not 1 <= number <= 8:
        notes, number = (f"EXIF orientation {number} is invalid, ignored",), 1
    if is_first_of_several:
        notes += ("first frame of several",)
    return number, notes


def _pixels(
    data: bytes, key: str, space: str, channels: int, floor: tuple[int, int]
) -> tuple[np.ndarray, tuple[str, ...]]:
    if space in _INKS:  # simplejpeg does not know Adobe's inverted inks
        return _by_pillow(data, key, channels), ("CMYK turned into RGB without a colour profile",)
    wanted = "GRAY" if channels == 1 or space.lower() == "gray" else "RGB"
    try:
        values = simplejpeg.decode_jpeg(data, wanted, min_height=floor[0], min_width=floor[1], strict=True)
    except (ValueError, KeyError) as error:
        reason = _plain(error)
        if "premature end" in reason.lower():
            raise PictureError(key, f"truncated ({reason})") from error
        # "Corrupt JPEG data: 2 extraneous bytes" and the like: decodable, but is it whole? Pillow is strict there.
        return _by_pillow(data, key, channels), (f"decoded in spite of: {reason}",)
    return with_channels(values, channels), ()


def _by_pillow(data: bytes, key: str, channels: int) -> np.ndarray:
    try:
        with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as opened:
            opened.load()
            grey = opened.mode == "L"
            image: Image.Image = opened if grey else opened.convert("RGB")
            return with_channels(np.array(image), channels)
    except PILLOW_ERRORS as error:
        reason = _plain(error)
        word = "truncated" if "truncated" in reason.lower() else "damaged JPEG"
        raise PictureError(key, f"{word} ({reason})") from error


def _plain(error: BaseException) -> str:
    """The decoder's own words on one line."""
    return " ".join(str(error).split()) or type(error).__name__
