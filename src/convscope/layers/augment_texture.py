"""Changing texture and content: Gaussian blur, noise, erased rectangles, and mixing with a partner.

Pictures are (n, h, w, c) float32 in 0..255.
"""

from __future__ import annotations

import math
from typing import Any

from convscope.backend.selection import load_keras

keras = load_keras()
ops = keras.ops

ERASED_TO = 127.5  # middle grey
_REACH = 4.0  # standard deviations after which a Gaussian counts as zero
_HASH_1, _HASH_2, _SPREAD = 0x7FEB352D, 0x846CA68B - 2**32, 0x9E3779B1 - 2**32  # as signed 32-bit numbers


def blur(x: Any, sigma: Any, *, sigma_max: float) -> Any:
    """Blur each picture with its own Gaussian; beyond the border the picture is reflected.

    Args:
        x: (n, h, w, c).
        sigma: (n,) standard deviations in pixels; 0 leaves the picture alone.
        sigma_max: the largest that can come, known before anything is compiled.

    One matrix per picture and axis: two matrix products, however wide the Gaussian.
    """
    n, height, width, channels = x.shape[0], x.shape[1], x.shape[2], x.shape[3]
    n = -1 if n is None else n
    x = ops.matmul(_gaussian(sigma, height, sigma_max), ops.reshape(x, (n, height, width * channels)))
    x = ops.transpose(ops.reshape(x, (n, height, width, channels)), (0, 2, 1, 3))
    x = ops.matmul(_gaussian(sigma, width, sigma_max), ops.reshape(x, (n, width, height * channels)))
    return ops.transpose(ops.reshape(x, (n, width, height, channels)), (0, 2, 1, 3))


def _gaussian(sigma: Any, size: int, sigma_max: float) -> Any:
    """Weights (n, size, size) from picture places to blurred places, mirror images of the picture folded in."""
    place = ops.arange(size, dtype="float32")
    rate = ops.reshape(-0.5 / ops.square(ops.maximum(sigma, 1e-2)), (-1, 1, 1))
    images = math.ceil(_REACH * sigma_max / (2 * size))
    weights = 0.0
    for period in range(-images, images + 1):
        for source in (place, -1 - place):
            distance = ops.expand_dims(place, 1) - ops.expand_dims(source + 2 * size * period, 0)
            weights = weights + ops.exp(rate * ops.square(distance))
    return weights / ops.sum(weights, axis=2, keepdims=True)


def _mixed(h: Any) -> Any:
    """Scramble int32 numbers, wrapping at 32 bits. Source: C. Wellons 2018, lowbias32."""
    h = ops.bitwise_xor(h, ops.bitwise_and(ops.right_shift(h, 16), 0xFFFF)) * _HASH_1
    h = ops.bitwise_xor(h, ops.bitwise_and(ops.right_shift(h, 15), 0x1FFFF)) * _HASH_2
    return ops.bitwise_xor(h, ops.bitwise_and(ops.right_shift(h, 16), 0xFFFF))


def standard_normal(key: Any, height: int, width: int, channels: int) -> Any:
    """Gaussian numbers (n, h, w, c) that depend on the sample's key and the place alone.

    Args:
        key: (n, 2) float32, whole numbers below 2**24.
        height: of the pictures, in pixels.
        width: likewise.
        channels: likewise.

    One hash of (key, place) gives two 16-bit uniforms, these one normal number (Box and Muller 1958), |z| < 4.9.
    """
    place = ops.reshape(ops.arange(height * width * channels, dtype="int32"), (1, height, width, channels))
    first, second = (ops.reshape(ops.cast(key[:, k], "int32"), (-1, 1, 1, 1)) for k in range(2))
    h = _mixed(ops.bitwise_xor(_mixed(place + first * _SPREAD), second))
    high = ops.cast(ops.bitwise_and(ops.right_shift(h, 16), 0xFFFF), "float32")
    low = ops.cast(ops.bitwise_and(h, 0xFFFF), "float32")
    return ops.sqrt(-2 * ops.log((high + 0.5) / 65536)) * ops.cos((low + 0.5) * (2 * math.pi / 65536))


def add_noise(x: Any, share: Any, key: Any) -> Any:
    """Add Gaussian noise of standard deviation 255 x share (n,) and clip."""
    noise = standard_normal(key, x.shape[1], x.shape[2], x.shape[3])
    return ops.clip(x + 255 * ops.reshape(share, (-1, 1, 1, 1)) * noise, 0.0, 255.0)


def covered(box: Any, height: int, width: int) -> Any:
    """Share of each pixel inside a box: (n, h, w, 1) in 0..1, so that its mean is exactly the box's area.

    Args:
        box: (n, 4) top, left, bottom, right as shares of the frame.
        height: of the frame, in pixels.
        width: likewise.
    """

    def along(low: Any, high: Any, size: int) -> Any:
        edge = ops.expand_dims(ops.arange(size, dtype="float32"), 0)
        start, end = ops.expand_dims(low * size, 1), ops.expand_dims(high * size, 1)
        return ops.clip(ops.minimum(edge + 1, end) - ops.maximum(edge, start), 0.0, 1.0)

    rows = along(box[:, 0], box[:, 2], height)
    columns = along(box[:, 1], box[:, 3], width)
    return ops.expand_dims(ops.expand_dims(rows, 2) * ops.expand_dims(columns, 1), 3)


def erase(x: Any, box: Any) -> Any:
    """Grey a rectangle of each picture (Zhong et al. 2020); an empty box erases nothing."""
    share = covered(box, x.shape[1], x.shape[2])
    return x + share * (ERASED_TO - x)


def mix(x: Any, partners: Any, *, blend: Any, box: Any) -> Any:
    """Mix with a partner: MixUp everywhere (own share `blend`), CutMix inside `box` (all from the partner).

    Source: Zhang et al. 2018; Yun et al. 2019. A pixel that the box cuts is shared by area.
    """
    own = ops.reshape(blend, (-1, 1, 1, 1)) * (1 - covered(box, x.shape[1], x.shape[2]))
    return partners + own * (x - partners)
