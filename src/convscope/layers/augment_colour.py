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
_HAIR = 0.01  # rounding may leave a whole number just below an edge, where posterize and solarize jump


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
    value = ops.max(x, axis=-1)
    chroma = value - ops.min(x, axis=-1)
    safe = ops.where(chroma > 0, chroma, ops.ones_like(chroma))
    # by order, not by `value == red`: a compiler may compute the two sides of an equality with different rounding
    is_red = ops.logical_and(red >= green, red >= blue)
    from_rest = ops.where(green >= blue, 2 + (blue - red) / safe, 4 + (red - green) / safe)
    sixth = ops.where(is_red, (green - blue) / safe, from_rest)
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
    rows = x[:, :-2] + x[:, 1:-1] + x[:, 2:]
    total = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] + 4 * x[:, 1:-1, 1:-1]
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
        return _per_picture(ops.cast(ops.equal(number, float(RAND_AUGMENT_OPS.index(name))), "float32"))

    strength = _per_picture(strength)
    # x * gain + offset + luma(x) * greyed + smooth(x) * softened: all zero but the gain where nothing is chosen
    change, by_mean, stretched = BLEND * strength, chosen("contrast"), chosen("autocontrast")
    greyed = -change * chosen("saturation") * (x.shape[-1] == 3)  # without colours there is no saturation to change
    softened = -change * chosen("sharpness")
    low, high = ops.min(x, axis=(1, 2), keepdims=True), ops.max(x, axis=(1, 2), keepdims=True)
    stretched = ops.where(high > low, stretched, ops.zeros_like(high))
    to_full = 255 / ops.where(high > low, high - low, ops.ones_like(high))
    gain = 1 + change * (chosen("brightness") + by_mean) - greyed - softened + stretched * (to_full - 1)
    offset = -change * by_mean * mean_luma(x) - stretched * low * to_full
    x = _clip(x * gain + offset + luma(x) * greyed + smooth(x) * softened)
    step = 2.0 ** ops.round(POSTERIZE_BITS * ops.abs(strength))
    x = ops.where(chosen("posterize") > 0, ops.floor((x + _HAIR) / step) * step, x)
    threshold = 255 * (1 - ops.abs(strength))
    return ops.where(ops.logical_and(chosen("solarize") > 0, x + _HAIR >= threshold), 255 - x, x)
