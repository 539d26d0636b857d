"""Pictures with more than 8 bits: scaled by their declared range to float32 in 0..255, never clipped."""

from __future__ import annotations

from typing import Any

import numpy as np

from convscope.data.stored import over_black
from convscope.errors import PictureError

_MIN_IS_WHITE = 0


def grey_16bit(image: Any) -> tuple[np.ndarray, str, tuple[str, ...]]:
    """A loaded Pillow picture of mode I;16*: (h, w) float32 in 0..255, by the bits that its header declares."""
    bits, inverted = 16, False
    if image.format == "TIFF":
        bits = int(image.tag_v2.get(258, (16,))[0])
        inverted = image.tag_v2.get(262) == _MIN_IS_WHITE
    stored = np.array(image).astype(np.uint16)
    values = stored.astype(np.float32) * np.float32(255.0 / (2**bits - 1))
    if inverted:
        values = np.float32(255.0) - values
    mode = f"{bits}-bit grey"
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        return np.where(stored == clear, np.float32(0), values), f"{mode} with alpha", ("alpha composited on black",)
    return values, mode, ()


def float_pixels(image: Any, key: str) -> tuple[np.ndarray, str, tuple[str, ...]]:
    """A loaded Pillow picture of mode F: the range is what its SMinSampleValue and SMaxSampleValue tags declare,
    else 0..1, the convention for float pictures.

    Raises:
        PictureError: NaN or infinity, with their count, or values outside the range.
    """
    values = np.array(image)
    bad = int(values.size - np.isfinite(values).sum())
    if bad:
        raise PictureError(key, f"float picture with {bad:,} pixels of {values.size:,} NaN or infinite")
    low, high = _declared(image)
    least, most = float(values.min()), float(values.max())
    if least < low or most > high:
        raise PictureError(
            key, f"float picture with values {least:g} to {most:g}, expected its declared range {low:g} to {high:g}"
        )
    return ((values - low) * (255.0 / (high - low))).astype(np.float32), "float grey", (f"range {low:g} to {high:g}",)


def _declared(image: Any) -> tuple[float, float]:
    tags = image.tag_v2
    try:
        low, high = float(np.min(tags.get(340, 0.0))), float(np.max(tags.get(341, 1.0)))
    except (TypeError, ValueError):
        return 0.0, 1.0
    return (low, high) if high > low else (0.0, 1.0)


def deep_colour(data: bytes, key: str, format: str) -> tuple[np.ndarray, str, tuple[str, ...]]:
    """16-bit colour (or grey with alpha) PNG or TIFF through imagecodecs: (h, w) or (h, w, 3) float32 in 0..255.

    Raises:
        PictureError: without the extra, or when it can't be decoded to 16 bits.
    """
    try:
        import imagecodecs
    except ImportError as error:
        raise PictureError(
            key, "16-bit colour, which Pillow would cut to 8 bits; pip install 'convscope[images]' to read it"
        ) from error
    try:
        decode = imagecodecs.png_decode if format == "PNG" else imagecodecs.tiff_decode
        stored = np.asarray(decode(data))
    except (RuntimeError, ValueError, TypeError, MemoryError) as error:
        raise PictureError(key, f"damaged 16-bit {format} ({' '.join(str(error).split())})") from error
    if stored.dtype != np.uint16 or stored.ndim != 3 or stored.shape[2] not in (2, 3, 4):
        raise PictureError(key, f"expected 16-bit colour, decoded {stored.dtype} of shape {stored.shape}")
    values = stored.astype(np.float32) * np.float32(255.0 / 65535.0)
    if stored.shape[2] == 3:
        return values, "16-bit colour", ()
    alpha = values[:, :, -1] / np.float32(255)
    grey = stored.shape[2] == 2
    mode = f"16-bit {'grey' if grey else 'colour'} with alpha"
    return over_black(values[:, :, :-1], alpha), mode, ("alpha composited on black",)
