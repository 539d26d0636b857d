"""What decoders share: the limits that a header must keep, and how a decoded picture is described."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convscope.errors import PictureError
from convscope.records.samples import Picture

# ITU-R BT.601 luma in 16-bit fixed point, as libjpeg and Pillow compute it.
_LUMA = np.array([19595, 38470, 7471], np.uint32)


@dataclass(frozen=True)
class Limits:
    """The largest picture that is decoded: pixels by the header, and bytes once decoded."""

    pixels: int = 100_000_000
    decoded_bytes: int = 512 << 20


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, eq=False)
class Stored:
    """A decoded picture with what the file said of itself.

    Attributes:
        picture: the result.
        format: "JPEG", "PNG", ...
        mode: how the pixels were stored, in words: "colour", "grey", "palette", "CMYK", "colour with alpha",
            "16-bit grey", ...
        orientation: the EXIF orientation that was undone, 1 for none.
    """

    picture: Picture
    format: str
    mode: str
    orientation: int = 1


def check_size(key: str, hw: tuple[int, int], bytes_per_pixel: int, limits: Limits) -> None:
    """Refuse a picture by the size its header claims, before anything is allocated.

    Raises:
        PictureError: no pixels, more pixels than `limits.pixels`, or more bytes than `limits.decoded_bytes`.
    """
    height, width = hw
    if height < 1 or width < 1:
        raise PictureError(key, f"expected at least 1 x 1 pixels, its header says {height} x {width}")
    pixels = height * width
    if pixels > limits.pixels:
        raise PictureError(
            key, f"{pixels / 1e6:,.0f} MP ({height} x {width}) by its header, limit {limits.pixels / 1e6:,.0f} MP"
        )
    if pixels * bytes_per_pixel > limits.decoded_bytes:
        raise PictureError(
            key,
            f"{pixels * bytes_per_pixel / 2**20:,.0f} MiB when decoded ({height} x {width}), "
            f"limit {limits.decoded_bytes / 2**20:,.0f} MiB",
        )


def with_channels(values: np.ndarray, channels: int) -> np.ndarray:
    """Bring (h, w), (h, w, 1) or (h, w, 3) to (h, w, channels), channels 1 (BT.601 luma) or 3 (grey repeated).

    The dtype, uint8 or float32 in 0..255, is kept.
    """
    if values.ndim == 2:
        values = values[:, :, None]
    if values.shape[2] == channels:
        return values
    if channels == 3:
        return np.repeat(values, 3, axis=2)
    if values.dtype == np.uint8:
        red, green, blue = (values[:, :, c].astype(np.uint32) * _LUMA[c] for c in range(3))
        return ((red + green + blue + 32768) >> 16).astype(np.uint8)[:, :, None]
    return (values @ (_LUMA / 65536).astype(np.float32)).astype(np.float32)[:, :, None]


def over_black(values: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Composite (h, w, c) on black by `alpha` (h, w), uint8 both, or float32 with alpha in 0..1.

    Black, because what lies below full transparency is arbitrary and black is what letterbox padding uses.
    """
    if values.dtype == np.uint8:
        product = values.astype(np.uint16) * alpha[:, :, None].astype(np.uint16)
        return ((product + 127) // 255).astype(np.uint8)
    return (values * alpha[:, :, None]).astype(np.float32)
