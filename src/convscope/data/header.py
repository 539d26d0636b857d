"""Height, width and orientation of a picture from its first bytes; no pixel is decoded."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path

import simplejpeg
from PIL import Image

from convscope.data.exif import jpeg_exif, orientation, swaps_sides
from convscope.data.formats import sniff, why_not_a_picture
from convscope.data.naming import shown
from convscope.data.others import DECODER_ERRORS
from convscope.data.regular import read_regular
from convscope.errors import PictureError

_HEAD_BYTES = 1 << 17  # an EXIF block may take 64 KiB before the size


@dataclass(frozen=True)
class Header:
    """Size as stored (height, width) in pixels, and the EXIF orientation 1 to 8 that a reader undoes."""

    stored_hw: tuple[int, int]
    orientation: int

    @property
    def upright_hw(self) -> tuple[int, int]:
        """Height and width as the picture is shown."""
        high, wide = self.stored_hw
        return (wide, high) if swaps_sides(self.orientation) else (high, wide)


def read_header(path: str | Path, *, key: str = "") -> Header:
    """Read the size of a picture file; a few kilobytes are read, the whole file only where these are not enough.

    Raises:
        PictureError: absent, not an ordinary file, or no picture of an allowed format.
    """
    name = shown(key or str(path))
    head = _head(path, name)
    if len(head) < _HEAD_BYTES:
        return _from_bytes(head, name)
    try:
        return _from_bytes(head, name)
    except PictureError:
        return _from_bytes(read_regular(path, key=name), name)


def _head(path: str | Path, name: str) -> bytes:
    if not os.path.isfile(path):  # pipes and devices would hang a plain open
        return read_regular(path, key=name)
    try:
        with open(path, "rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError as error:
        raise PictureError(name, f"can't be read: {error.strerror or error}") from error


def _from_bytes(data: bytes, name: str) -> Header:
    kind = sniff(data)
    if not kind:
        raise PictureError(name, why_not_a_picture(data))
    try:
        return _jpeg(data) if kind == "JPEG" else _other(data, kind)
    except (ValueError, *DECODER_ERRORS) as error:
        raise PictureError(name, f"damaged {kind} header ({' '.join(str(error).split())})") from error


def _jpeg(data: bytes) -> Header:
    high, wide, _, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    return Header((int(high), int(wide)), _valid(orientation(jpeg_exif(data))))


def _other(data: bytes, kind: str) -> Header:
    with Image.open(io.BytesIO(data), formats=(kind,)) as image:
        block = image.info.get("exif")
        turn = orientation(block) if isinstance(block, bytes) else 1
        wide, high = image.size
        if kind == "TIFF":
            found = image.tag_v2.get(274, 1)  # type: ignore[attr-defined]  # a TIFF image has it
            turn = found if isinstance(found, int) else 1
            if swaps_sides(turn):  # Pillow gives the size of a TIFF as it will be shown
                wide, high = high, wide
    return Header((int(high), int(wide)), _valid(turn))


def _valid(number: int) -> int:
    return number if 1 <= number <= 8 else 1
