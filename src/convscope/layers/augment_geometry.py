"""Moving pictures: all geometric changes of a sample are one affine map, and each pixel is read once.

An affine map is held backwards, from places of the result to places of the picture, as six tensors (n,):
y_in = yy * y + yx * x + y0 and x_in = xy * y + xx * x + x0, in pixels from the middle of the frame.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from convscope.backend.selection import load_keras
from convscope.records.augmentation import RAND_AUGMENT_OPS

keras = load_keras()
ops = keras.ops

ROTATE_DEG, SHEAR, TRANSLATE = 30.0, 0.3, 0.45  # RandAugment at strength 1 (translate: share of the side)
MOVED_BY = ("crop", "scale", "rotate_deg", "shift")  # flips are handled apart: alone they only mirror


class Affine(NamedTuple):
    """The backward map; see the module."""

    yy: Any
    yx: Any
    xy: Any
    xx: Any
    y0: Any
    x0: Any


def then(m: Affine, a: Affine) -> Affine:
    """Go through `m`, then through `a`; either may hold plain numbers."""
    return Affine(
        yy=a.yy * m.yy + a.yx * m.xy,
        yx=a.yy * m.yx + a.yx * m.xx,
        xy=a.xy * m.yy + a.xx * m.xy,
        xx=a.xy * m.yx + a.xx * m.xx,
        y0=a.yy * m.y0 + a.yx * m.x0 + a.y0,
        x0=a.xy * m.y0 + a.xx * m.x0 + a.x0,
    )


def backward_map(draws: dict[str, Any], height: int, width: int) -> Affine:
    """Compose the sample's changes: crop, scale, rotation, shift, flips, then RandAugment's moves in their order.

    Args:
        draws: tensors (n, ...) named as in data/chance.py; only what is there counts.
        height: of the frame, in pixels.
        width: likewise.
    """
    m = Affine(1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
    if "rand_augment" in draws:
        rounds = draws["rand_augment"]
        for k in reversed(range(rounds.shape[1])):  # the change made last is undone first
            m = then(m, _rand_augment(rounds[:, k, 0], rounds[:, k, 1], height, width))
    if "flip_vertical" in draws:
        m = then(m, Affine(1 - 2 * draws["flip_vertical"], 0.0, 0.0, 1.0, 0.0, 0.0))
    if "flip_horizontal" in draws:
        m = then(m, Affine(1.0, 0.0, 0.0, 1 - 2 * draws["flip_horizontal"], 0.0, 0.0))
    if "shift" in draws:
        m = then(m, Affine(1.0, 0.0, 0.0, 1.0, -height * draws["shift"][:, 0], -width * draws["shift"][:, 1]))
    if "rotate_deg" in draws:
        m = then(m, _rotation(draws["rotate_deg"]))
    if "scale" in draws:
        m = then(m, Affine(1 / draws["scale"], 0.0, 0.0, 1 / draws["scale"], 0.0, 0.0))
    if "crop" in draws:
        top, left, tall, wide = (draws["crop"][:, k] for k in range(4))
        middle = ((top + tall / 2 - 0.5) * height, (left + wide / 2 - 0.5) * width)
        m = then(m, Affine(tall, 0.0, 0.0, wide, *middle))
    return m


def _rotation(degrees: Any) -> Affine:
    """Undo a turn counter-clockwise as seen (y points down)."""
    angle = degrees * (math.pi / 180)
    cosine, sine = ops.cos(angle), ops.sin(angle)
    return Affine(cosine, sine, -sine, cosine, 0.0, 0.0)


def _rand_augment(number: Any, strength: Any, height: int, width: int) -> Affine:
    def level(name: str, full: float) -> Any:
        chosen = ops.equal(number, float(RAND_AUGMENT_OPS.index(name)))
        return ops.where(chosen, full * strength, ops.zeros_like(strength))

    turn = _rotation(level("rotate", ROTATE_DEG))  # at most one of these differs from nothing
    return Affine(
        yy=turn.yy,
        yx=turn.yx - level("shear_y", SHEAR),
        xy=turn.xy - level("shear_x", SHEAR),
        xx=turn.xx,
        y0=-level("translate_y", TRANSLATE * height),
        x0=-level("translate_x", TRANSLATE * width),
    )


def is_moved(draws: dict[str, Any]) -> bool:
    """Whether these draws need a resample; flips alone only mirror."""
    return "rand_augment" in draws or any(name in draws for name in MOVED_BY)


def mirror(images: Any, draws: dict[str, Any]) -> Any:
    """Mirror pictures (n, h, w, c) or masks (n, h, w) of any dtype by copying alone."""
    for name, axis in (("flip_vertical", 1), ("flip_horizontal", 2)):
        if name in draws:
            chosen = ops.reshape(draws[name], (-1, *([1] * (len(images.shape) - 1)))) > 0.5
            images = ops.where(chosen, ops.flip(images, axis=axis), images)
    return images


def _reflect(place: Any, size: int) -> Any:
    """Fold places beyond the border back inside: d c b a | a b c d | d c b a."""
    folded = ops.mod(place + 0.5, 2.0 * size)
    return ops.minimum(folded, 2.0 * size - folded) - 0.5


def _neighbours(place: Any, size: int) -> tuple[Any, Any, Any]:
    low = ops.floor(place)
    first = ops.cast(ops.clip(low, 0, size - 1), "int32")
    second = ops.cast(ops.clip(low + 1, 0, size - 1), "int32")
    return first, second, place - low


def _places(m: Affine, n: int, height: int, width: int) -> tuple[Any, Any]:
    """Where each result pixel comes from, (n, h, w) rows and columns in pixels; whole numbers are pixel centres."""
    y = ops.reshape(ops.arange(height, dtype="float32") + (0.5 - height / 2), (1, height, 1))
    x = ops.reshape(ops.arange(width, dtype="float32") + (0.5 - width / 2), (1, 1, width))
    yy, yx, xy, xx, y0, x0 = (ops.reshape(v * ops.ones((n,), "float32"), (-1, 1, 1)) for v in m)
    return yy * y + yx * x + (y0 + (height / 2 - 0.5)), xy * y + xx * x + (x0 + (width / 2 - 0.5))


def resample_labels(labels: Any, m: Affine) -> Any:
    """Move masks as `resample` moves pictures: each result pixel takes the label at its nearest place.

    Args:
        labels: (n, h, w) integers.
        m: backward map, as for the pictures.

    Returns:
        (n, h, w) of the same dtype; beyond the border reflected, like the pictures.
    """
    n, height, width = ops.shape(labels)
    y_in, x_in = _places(m, n, height, width)
    row = ops.cast(ops.clip(ops.round(_reflect(y_in, height)), 0, height - 1), "int32")
    column = ops.cast(ops.clip(ops.round(_reflect(x_in, width)), 0, width - 1), "int32")
    start = ops.reshape(ops.arange(n, dtype="int32") * (height * width), (-1, 1, 1))
    return ops.take(ops.reshape(labels, (-1,)), start + row * width + column, axis=0)


def resample(images: Any, m: Affine, *, fill: float | None = None) -> Any:
    """Read each result pixel at its place in the picture, bilinearly.

    Args:
        images: (n, h, w, c) of any dtype.
        m: backward map; its fields are tensors (n,) or numbers.
        fill: value of what lies beyond the border; None reflects the picture there.

    Returns:
        (n, h, w, c) float32.
    """
    n, height, width, channels = ops.shape(images)
    y_from, x_from = _places(m, n, height, width)
    y_in, x_in = _reflect(y_from, height), _reflect(x_from, width)
    top, bottom, down = _neighbours(y_in, height)
    left, right, across = _neighbours(x_in, width)
    pixels = ops.reshape(images, (-1, channels))
    start = ops.reshape(ops.arange(n, dtype="int32") * (height * width), (-1, 1, 1))

    def read(row: Any, column: Any) -> Any:
        return ops.cast(ops.take(pixels, start + row * width + column, axis=0), "float32")

    down, across = ops.expand_dims(down, -1), ops.expand_dims(across, -1)
    upper = read(top, left) * (1 - across) + read(top, right) * across
    lower = read(bottom, left) * (1 - across) + read(bottom, right) * across
    moved = upper * (1 - down) + lower * down
    if fill is None:
        return moved
    is_row = ops.logical_and(y_from > -0.5, y_from < height - 0.5)
    is_inside = ops.logical_and(is_row, ops.logical_and(x_from > -0.5, x_from < width - 0.5))
    return ops.where(ops.expand_dims(is_inside, -1), moved, fill)
