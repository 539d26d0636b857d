"""Changing colours: brightness, contrast, saturation, hue, and the colour operations of RandAugment.

Pictures are (n, h, w, c) float32 in 0..255; every change is clipped to that range, as Pillow does.
"""

from __future__ import annotations

from typing import Any

from convscope.backend.selection import load_keras
from convscope.records.augmentation import RAND_AUGMENT_OPS

keras = load_keras()
ops = keras.ops

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, what Pillow's "L" uses
BLEND = 0.9  # RandAugment at strength 1: how far brightness, contrast, saturation and sharpness go
POSTERIZE_BITS = 4.0  # RandAugment at strength 1: how many bits are dropped


def _per_picture(values: Any) -> Any:
    return ops.reshape(values, (-1, 1, 1, 1))


def _clip(x: Any) -> Any:
    return ops.clip(x, 0.0, 255.0)


def luma(x: Any) -> Any:
    """Brightness as seen, (n, h, w, 1): weighted for three channels, else their mean."""
    if x.shape[-1] != 3:
        return ops.mean(x, axis=-1, keepdims=True)
    return LUMA[0] * x[..., 0:1] + LUMA[1] * x[..., 1:2] + LUMA[2] * x[..., 2:3]


def mean_luma(x: Any) -> Any:
    """Mean brightness of each picture, (n, 1, 1, 1)."""
    return ops.mean(luma(x), axis=(1, 2, 3), keepdims=True)


def change_colours(x: Any, draws: dict[str, Any]) -> Any:
    """Change brightness, contrast, saturation and hue, in this order; only what `draws` holds."""
    if "brightness" in draws:
        x = _clip(x * _per_picture(draws["brightness"]))
    if "contrast" in draws:
        x = _blend(x, mean_luma(x), _per_picture(draws["contrast"]))
    if "saturation" in draws:
        x = _blend(x, luma(x), _per_picture(draws["saturation"]))
    if "hue" in draws:
        x = turn_hue(x, draws["hue"])
    return x


def _blend(x: Any, base: Any, factor: Any) -> Any:
    return _clip(base + factor * (x - base))


def turn_hue(x: Any, turns: Any) -> Any:
    """Turn the hue of HSV by `turns` (n,) of the circle; saturation and value stay.

    Source: Smith 1978, the hexcone model; back by the closed form v - chroma * max(0, min(k, 4 - k, 1)).
    """
    red, green, blue = x[..., 0], x[..., 1], x[..., 2]
    value, chroma = ops.max(x, axis=-1), ops.max(x, axis=-1) - ops.min(x, axis=-1)
    safe = ops.where(chroma > 0, chroma, ops.ones_like(chroma))
    sixth = ops.where(
        ops.equal(value, red),
        (green - blue) / safe,
        ops.where(ops.equal(value, green), 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    sixth = sixth + 6 * ops.reshape(turns, (-1, 1, 1))
    planes = []
    for offset in (5.0, 3.0, 1.0):
        k = ops.mod(offset + sixth, 6.0)
        planes.append(value - chroma * ops.clip(ops.minimum(k, 4 - k), 0.0, 1.0))
    return ops.stack(planes, axis=-1)


def smooth(x: Any) -> Any:
    """Pillow's SMOOTH filter: 3x3, weight 5 in the middle and 1 around, over 13; border pixels stay."""
    height, width = x.shape[1], x.shape[2]
    if height < 3 or width < 3:
        return x
    total = 4 * x[:, 1:-1, 1:-1]
    for dy in range(3):
        for dx in range(3):
            total = total + x[:, dy : height - 2 + dy, dx : width - 2 + dx]
    middle = ops.concatenate([x[:, 1:-1, :1], total / 13, x[:, 1:-1, -1:]], axis=2)
    return ops.concatenate([x[:, :1], middle, x[:, -1:]], axis=1)


def rand_augment_colours(x: Any, rounds: Any) -> Any:
    """Apply the colour operations of RandAugment, round by round.

    Args:
        x: (n, h, w, c) float32.
        rounds: (n, k, 2) operation number and signed strength; moves (rotate, shear, translate) are done elsewhere.

    Source: Cubuk et al. 2020. Blends are base + factor * (x - base), so one pass serves four operations.
    """
    for k in range(rounds.shape[1]):
        x = _round(x, rounds[:, k, 0], rounds[:, k, 1])
    return x


def _round(x: Any, number: Any, strength: Any) -> Any:
    def chosen(name: str) -> Any:
        return _per_picture(ops.equal(number, float(RAND_AUGMENT_OPS.index(name))))

    factor = 1 + BLEND * _per_picture(strength)
    zero = ops.zeros_like(x)
    base = ops.where(chosen("contrast"), mean_luma(x) + zero, zero)  # brightness blends with black
    if x.shape[-1] == 3:
        base = ops.where(chosen("saturation"), luma(x) + zero, base)
        blended = ops.logical_or(chosen("brightness"), ops.logical_or(chosen("contrast"), chosen("saturation")))
    else:  # a picture without colours has no saturation to change
        blended = ops.logical_or(chosen("brightness"), chosen("contrast"))
    base = ops.where(chosen("sharpness"), smooth(x), base)
    blended = ops.logical_or(blended, chosen("sharpness"))
    low, high = ops.min(x, axis=(1, 2), keepdims=True), ops.max(x, axis=(1, 2), keepdims=True)
    spread = ops.where(high > low, high - low, ops.full_like(high, 255.0))
    stretched = (x - ops.where(high > low, low, ops.zeros_like(low))) * (255 / spread)
    step = 2.0 ** ops.round(POSTERIZE_BITS * ops.abs(_per_picture(strength)))
    threshold = 255 * (1 - ops.abs(_per_picture(strength)))
    x = ops.where(
        blended,
        _blend(x, base, factor),
        ops.where(chosen("autocontrast"), stretched, x),
    )
    x = ops.where(chosen("posterize"), ops.floor(x / step) * step, x)
    return ops.where(ops.logical_and(chosen("solarize"), x >= threshold), 255 - x, x)
