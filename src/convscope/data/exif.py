"""The EXIF orientation of a picture, and turning it upright.

Source: EXIF 2.32, tag 0x0112; values 1 to 8. A small reader of its own, because it runs once per picture and
because a damaged EXIF block must neither stop nor warn.
"""

from __future__ import annotations

import struct

import numpy as np

_ORIENTATION = 0x0112
_HEADER = b"Exif\0\0"
_MPF = b"MPF\0"
_START_OF_SCAN = 0xDA  # no metadata after it
_MAX_SEGMENTS = 64


def jpeg_exif(data: bytes) -> bytes:
    """The TIFF block of a JPEG's EXIF segment, or b"" when there is none."""
    return jpeg_metadata(data)[0]


def jpeg_metadata(data: bytes) -> tuple[bytes, bool]:
    """A JPEG's EXIF block, b"" when there is none, and whether it is the first of several frames (MPO)."""
    exif, is_first_of_several, place = b"", False, 2
    for _ in range(_MAX_SEGMENTS):
        if len(data) < place + 4 or data[place] != 0xFF or data[place + 1] == _START_OF_SCAN:
            break
        marker, end = data[place + 1], place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == 0xE1 and not exif and data.startswith(_HEADER, place + 4):
            exif = data[place + 10 : end]
        elif marker == 0xE2 and data.startswith(_MPF, place + 4):
            is_first_of_several = True
        place = end
    return exif, is_first_of_several


def orientation(exif: bytes) -> int:
    """The orientation named by a TIFF block (with or without "Exif" before it): 1 to 8, 1 if absent.

    An invalid value is returned as it is found (0, 9, 65537...), so that the caller can say that it was ignored.
    """
    block = exif.removeprefix(_HEADER)
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 14:
        return 1
    try:
        (first,) = struct.unpack_from(order + "I", block, 4)
        (entries,) = struct.unpack_from(order + "H", block, first)
        for number in range(min(entries, 512)):
            tag, kind, _, value = struct.unpack_from(order + "HHI4s", block, first + 2 + 12 * number)
            if tag == _ORIENTATION:
                return int(struct.unpack_from(order + ("H" if kind == 3 else "I"), value)[0])
    except struct.error:  # damaged EXIF says nothing
        return 1
    return 1


def swaps_sides(number: int) -> bool:
    """Whether the orientation exchanges height and width."""
    return number in (5, 6, 7, 8)


def upright(values: np.ndarray, number: int) -> np.ndarray:
    """Turn and mirror (h, w, ...) so that orientation `number` (1 to 8) stands upright; anything else is left alone."""
    if number not in (2, 3, 4, 5, 6, 7, 8):
        return values
    if swaps_sides(number):
        values = values.swapaxes(0, 1)
    if number in (3, 4, 7, 8):
        values = values[::-1]
    if number in (2, 3, 6, 7):
        values = values[:, ::-1]
    return np.ascontiguousarray(values)
