"""The whole augmentation, written a second time: one pixel after the other, in float64 and Python integers.

Every back end is held to this twin within 1e-3 of the range, so the back ends agree with each other.
"""

from __future__ import annotations

import colorsys
import math

import numpy as np
import pytest

from convscope.backend.tensors import to_numpy
from convscope.data.chance import draw
from convscope.layers.augment import Augmenter
from convscope.records.augmentation import RAND_AUGMENT_OPS, Augmentation

pytestmark = pytest.mark.backend

H, W, N = 9, 11, 6
OPTIONS = Augmentation(True, True, 20, 0.2, 0.1, 0.3, 0.2, 0.2, 0.2, 0.1, 1.0, 0.05, 0.4, 3, 0.5, 0.3, 1.0)


def clip(value: float) -> float:
    return min(255.0, max(0.0, value))


def place_in_picture(y: float, x: float, d: dict) -> tuple[float, float]:
    """Undo what happened to the point, last first; (y, x) from the middle of the frame."""
    for number, level in d["rand_augment"][::-1]:
        name = RAND_AUGMENT_OPS[int(number)]
        if name == "rotate":
            y, x = turned(y, x, 30 * level)
        elif name == "shear_x":
            x -= 0.3 * level * y
        elif name == "shear_y":
            y -= 0.3 * level * x
        elif name == "translate_x":
            x -= 0.45 * level * W
        elif name == "translate_y":
            y -= 0.45 * level * H
    y, x = (-y if d["flip_vertical"] else y), (-x if d["flip_horizontal"] else x)
    y, x = y - d["shift"][0] * H, x - d["shift"][1] * W
    y, x = turned(y, x, d["rotate_deg"])
    y, x = y / d["scale"], x / d["scale"]
    top, left, tall, wide = d["crop"]
    return tall * y + (top + tall / 2 - 0.5) * H, wide * x + (left + wide / 2 - 0.5) * W


def turned(y: float, x: float, degrees: float) -> tuple[float, float]:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return c * y + s * x, -s * y + c * x


def reflected(i: int, size: int) -> int:
    while not 0 <= i < size:
        i = -1 - i if i < 0 else 2 * size - 1 - i
    return i


def read(picture: np.ndarray, y: float, x: float, c: int) -> float:
    y0, x0 = math.floor(y), math.floor(x)
    total = 0.0
    for i, wy in ((y0, y0 + 1 - y), (y0 + 1, y - y0)):
        for j, wx in ((x0, x0 + 1 - x), (x0 + 1, x - x0)):
            total += wy * wx * picture[reflected(i, H), reflected(j, W), c]
    return total


def grey(pixel: np.ndarray) -> float:
    return 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]


def blend(picture: np.ndarray, base: np.ndarray, factor: float) -> np.ndarray:
    return np.vectorize(clip)(base + factor * (picture - base))


def greys(picture: np.ndarray) -> np.ndarray:
    return np.array([[[grey(p)] * 3 for p in row] for row in picture])


def rand_colour(p: np.ndarray, name: str, level: float) -> np.ndarray:
    factor = 1 + 0.9 * level
    if name == "brightness":
        return blend(p, 0 * p, factor)
    if name == "contrast":
        return blend(p, 0 * p + greys(p).mean(), factor)
    if name == "saturation":
        return blend(p, greys(p), factor)
    if name == "sharpness":
        soft = p.copy()
        for y in range(1, H - 1):
            for x in range(1, W - 1):
                soft[y, x] = (p[y - 1 : y + 2, x - 1 : x + 2].sum(axis=(0, 1)) + 4 * p[y, x]) / 13
        return blend(p, soft, factor)
    if name == "autocontrast":
        low, high = p.min(axis=(0, 1)), p.max(axis=(0, 1))
        return np.where(high > low, (p - low) * 255 / np.where(high > low, high - low, 1), p)
    if name == "posterize":
        step = 2 ** round(4 * abs(level))
        return np.floor((p + 0.01) / step) * step
    if name == "solarize":
        return np.where(p + 0.01 >= 255 * (1 - abs(level)), 255 - p, p)
    return p


def blurred(p: np.ndarray, sigma: float) -> np.ndarray:
    def along(rows: np.ndarray) -> np.ndarray:
        out = np.zeros_like(rows)
        for i in range(len(rows)):
            weight = 0.0
            for k in range(-12, 13):
                w = math.exp(-0.5 * (k / max(sigma, 1e-2)) ** 2)
                out[i] += w * rows[reflected(i + k, len(rows))]
                weight += w
            out[i] /= weight
        return out

    return along(along(p).swapaxes(0, 1)).swapaxes(0, 1)


def scrambled(h: int) -> int:
    h ^= h >> 16
    h = h * 0x7FEB352D % 2**32
    h ^= h >> 15
    h = h * 0x846CA68B % 2**32
    return h ^ h >> 16


def normal(key: np.ndarray, place: int) -> float:
    h = scrambled(scrambled((place + int(key[0]) * 0x9E3779B1) % 2**32) ^ int(key[1]))
    return math.sqrt(-2 * math.log(((h >> 16) + 0.5) / 65536)) * math.cos(2 * math.pi * ((h & 65535) + 0.5) / 65536)


def inside(box: np.ndarray, y: int, x: int) -> float:
    tall = min(y + 1, box[2] * H) - max(y, box[0] * H)
    wide = min(x + 1, box[3] * W) - max(x, box[1] * W)
    return max(0.0, tall) * max(0.0, wide)


def changed(picture: np.ndarray, d: dict) -> np.ndarray:
    p = np.zeros((H, W, 3))
    for y, x, c in np.ndindex(H, W, 3):
        yy, xx = place_in_picture(y + 0.5 - H / 2, x + 0.5 - W / 2, d)
        p[y, x, c] = read(picture, yy + H / 2 - 0.5, xx + W / 2 - 0.5, c)
    p = blend(p, 0 * p, d["brightness"])
    p = blend(p, 0 * p + greys(p).mean(), d["contrast"])
    p = blend(p, greys(p), d["saturation"])
    for y, x in np.ndindex(H, W):
        hue, saturation, value = colorsys.rgb_to_hsv(*(p[y, x] / 255))
        p[y, x] = 255 * np.array(colorsys.hsv_to_rgb((hue + d["hue"]) % 1, saturation, value))
    for number, level in d["rand_augment"]:
        p = rand_colour(p, RAND_AUGMENT_OPS[int(number)], level)
    p = blurred(p, d["blur"])
    for place, (y, x, c) in enumerate(np.ndindex(H, W, 3)):
        p[y, x, c] = clip(p[y, x, c] + 255 * d["noise"] * normal(d["noise_key"], place))
    for y, x in np.ndindex(H, W):
        share = inside(d["erase"], y, x)
        p[y, x] = share * 127.5 + (1 - share) * p[y, x]
    return p


def twin(picture: np.ndarray, partner: np.ndarray, d: dict) -> np.ndarray:
    own, other = changed(picture.astype(float), d), changed(partner.astype(float), d)
    for y, x in np.ndindex(H, W):
        share = d["mix_blend"] * (1 - inside(d["mix_box"], y, x))
        own[y, x] = share * own[y, x] + (1 - share) * other[y, x]
    return own


def test_everything_at_once_equals_the_twin() -> None:
    rng = np.random.default_rng(2)
    images, partners = (rng.integers(0, 256, (N, H, W, 3), dtype=np.uint8) for _ in range(2))
    draws = draw(OPTIONS, seed=11, epoch=4, indices=np.arange(N))
    numbers = np.arange(N * 3) % len(RAND_AUGMENT_OPS)  # so that each operation has its turn
    draws["rand_augment"][..., 0] = numbers.reshape(N, 3)
    step = Augmenter(OPTIONS, frame_hw=(H, W), channels=3).compiled()
    out = to_numpy(step(images, draws, partners))
    for i in range(N):
        d = {name: np.asarray(value[i], np.float64) for name, value in draws.items()}
        assert np.abs(out[i] - twin(images[i], partners[i], d)).max() < 255e-3, i
