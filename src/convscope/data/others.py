"""PNG, BMP, GIF, WebP and TIFF through Pillow; each file class is named here, so no other plug-in can be reached."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import BmpImagePlugin, GifImagePlugin, Image, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from convscope.data.deep import deep_colour, float_pixels, grey_16bit
from convscope.data.exif import orientation, swaps_sides, upright
from convscope.data.jpeg import PILLOW_ERRORS
from convscope.data.stored import Limits, Stored, check_size, over_black, with_channels
from convscope.errors import PictureError
from convscope.records.samples import Picture

# Image.open would try every registered plug-in and warn by a process-wide limit; the classes do neither.
_OPENERS: dict[str, Callable[[Any], Any]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
}
# Warning is among them for programs that turn warnings into errors.
DECODER_ERRORS = (*PILLOW_ERRORS, struct.error, zlib.error, RuntimeError, Image.DecompressionBombError, Warning)
_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
_WORDS = {"1": "black and white", "L": "grey", "P": "palette", "CMYK": "CMYK", "YCbCr": "colour", "RGB": "colour"}


def decode_other(data: bytes, key: str, *, format: str, channels: int, limits: Limits) -> Stored:
    """Decode the first frame of a picture of one of Pillow's allowed formats.

    Raises:
        PictureError: damaged, truncated, of a kind without a declared range, or larger than `limits`.
    """
    try:
        with _OPENERS[format](io.BytesIO(data)) as image:
            return _decode_opened(image, data, key, format=format, channels=channels, limits=limits)
    except PictureError:
        raise
    except DECODER_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        word = "truncated" if "truncated" in reason.lower() else f"damaged {format}"
        raise PictureError(key, f"{word} ({reason})") from error


def _decode_opened(image: Any, data: bytes, key: str, *, format: str, channels: int, limits: Limits) -> Stored:
    deep = _is_deep_colour(image, data, format)
    width, height = image.size
    check_size(key, (height, width), 8 if deep else 4, limits)
    turn, notes = _orientation(image)
    frames = int(getattr(image, "n_frames", 1))
    if frames > 1:
        notes += (f"first of {frames} frames",)
    # Pillow turns a TIFF itself when it loads it, and gives its size as turned; no other format, and no other decoder
    to_turn = 1 if format == "TIFF" and not deep else turn
    if deep:
        values, mode, more = deep_colour(data, key, format)
    else:
        image.load()
        values, mode, more = _pixels(image, key)
    values = upright(with_channels(values, channels), to_turn)
    sides = (width, height) if swaps_sides(turn) and format != "TIFF" else (height, width)
    if values.shape[:2] != sides:
        found = f"{values.shape[0]} x {values.shape[1]}"
        raise PictureError(key, f"expected {sides[0]} x {sides[1]} by its header, decoded {found}")
    return Stored(Picture(values, sides, notes + more), format, mode, turn)


def _is_deep_colour(image: Any, data: bytes, format: str) -> bool:
    """More than 8 bits in more than one channel, by the header: Pillow would drop the lower 8 bits in silence."""
    if format == "PNG":
        return data[24] == 16 and data[25] in (2, 4, 6)
    if format == "TIFF":
        bits = image.tag_v2.get(258, (1,))
        bits = bits if isinstance(bits, tuple) else (bits,)
        return len(bits) > 1 and max(bits) > 8
    return False


def _orientation(image: Any) -> tuple[int, tuple[str, ...]]:
    block = image.info.get("exif")
    number = orientation(block) if isinstance(block, bytes) else 1
    if image.format == "TIFF":
        found = image.tag_v2.get(274, 1)
        number = found if isinstance(found, int) else 1
    if not 1 <= number <= 8:
        return 1, (f"EXIF orientation {number} is invalid, ignored",)
    return number, ()


def _pixels(image: Any, key: str) -> tuple[np.ndarray, str, tuple[str, ...]]:
    """Values (h, w) or (h, w, 3), how they were stored, and notes."""
    mode = image.mode
    if mode.startswith("I;16"):
        return grey_16bit(image)
    if mode == "F":
        return float_pixels(image, key)
    if mode in _ALPHA_MODES or "transparency" in image.info:
        return _composited(image)
    if mode in ("1", "L"):
        return np.array(image.convert("L")), _WORDS[mode], ()
    if mode in ("P", "CMYK", "YCbCr", "RGB"):
        notes = ("CMYK turned into RGB without a colour profile",) if mode == "CMYK" else ()
        return np.array(image.convert("RGB")), _WORDS[mode], notes
    raise PictureError(key, f"pixels of kind {mode} have no declared range 0..255; save it as 8- or 16-bit grey or RGB")


def _composited(image: Any) -> tuple[np.ndarray, str, tuple[str, ...]]:
    word = {"LA": "grey", "La": "grey", "L": "grey", "1": "black and white", "P": "palette", "PA": "palette"}
    rgba = np.array(image.convert("RGBA"))
    alpha = rgba[:, :, 3]
    mode = f"{word.get(image.mode, 'colour')} with alpha"
    colour = rgba[:, :, :1] if mode.startswith("grey") else rgba[:, :, :3]
    if alpha.min() == 255:
        return np.ascontiguousarray(colour), mode, ()
    return over_black(colour, alpha), mode, ("alpha composited on black",)
