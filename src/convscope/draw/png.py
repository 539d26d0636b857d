"""Arrays to picture bytes: PNG for maps, where each value counts, JPEG for photographs in a page."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from convscope.errors import DataError


def as_rgb(picture: np.ndarray) -> np.ndarray:
    """(h, w), (h, w, 1) or (h, w, 3) in 0..255 -> (h, w, 3) uint8; floats are rounded and clipped.

    Raises:
        DataError: another shape.
    """
    picture = np.asarray(picture)
    if picture.ndim == 2:
        picture = picture[:, :, None]
    if picture.ndim != 3 or picture.shape[2] not in (1, 3) or 0 in picture.shape:
        raise DataError(f"expected a picture of shape (height, width, 1 or 3), got {picture.shape}")
    if picture.dtype != np.uint8:
        picture = np.clip(np.round(np.nan_to_num(picture.astype(np.float64))), 0, 255).astype(np.uint8)
    return np.broadcast_to(picture, (*picture.shape[:2], 3))


def png_bytes(picture: np.ndarray) -> bytes:
    """PNG of a picture (see `as_rgb`), without loss; with a palette, which is smaller, for up to 256 colours."""
    rgb = as_rgb(picture)
    packed = (rgb.astype(np.uint32) * np.array([65536, 256, 1], np.uint32)).sum(axis=2, dtype=np.uint32)
    colours, places = np.unique(packed, return_inverse=True)
    if len(colours) <= 256:
        image = Image.fromarray(places.reshape(packed.shape).astype(np.uint8), "L").convert("P")
        image.putpalette(
            np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1).astype(np.uint8).tobytes()
        )
    else:
        image = Image.fromarray(np.ascontiguousarray(rgb))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def jpeg_bytes(picture: np.ndarray, *, quality: int = 85) -> bytes:
    """JPEG of a picture (see `as_rgb`), for photographs shown small."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(as_rgb(picture))).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def shrink(picture: np.ndarray, longest_px: int) -> np.ndarray:
    """The picture with its longer side at most `longest_px` (Lanczos); a smaller one stays as it is."""
    picture = as_rgb(picture)
    height, width = picture.shape[:2]
    factor = longest_px / max(height, width)
    if factor >= 1:
        return picture
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize(size, Image.Resampling.LANCZOS))
