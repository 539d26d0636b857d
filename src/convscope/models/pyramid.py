"""Necks: the feature pyramid of Faster R-CNN, the two-way pyramid of YOLO, and the blocks that they are made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from convscope.backend.selection import load_keras

keras = load_keras()

Seeds = Iterator[int]


def conv_bn_silu(x: Any, filters: int, name: str, *, seeds: Seeds, kernel: int = 1, stride: int = 1) -> Any:
    """Convolution without bias, batch norm, SiLU."""
    x = keras.layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer=keras.initializers.HeNormal(seed=next(seeds)),
        name=f"{name}_conv",
    )(x)
    x = keras.layers.BatchNormalization(epsilon=1e-3, momentum=0.97, name=f"{name}_bn")(x)
    return keras.layers.Activation("silu", name=f"{name}_silu")(x)


def csp_block(x: Any, filters: int, name: str, *, seeds: Seeds, repeats: int, shortcut: bool) -> Any:
    """Cross-stage partial block: half of the maps go through `repeats` pairs of convolutions, all states are joined.

    Source: Wang et al. 2020 (CSPNet); joining every state as in Wang et al. 2022 (ELAN).
    """
    half = filters // 2
    states = [conv_bn_silu(x, half, f"{name}_pass", seeds=seeds), conv_bn_silu(x, half, f"{name}_enter", seeds=seeds)]
    for k in range(repeats):
        inner = conv_bn_silu(states[-1], half, f"{name}_{k}a", seeds=seeds, kernel=3)
        inner = conv_bn_silu(inner, half, f"{name}_{k}b", seeds=seeds, kernel=3)
        states.append(keras.layers.Add(name=f"{name}_{k}_add")([states[-1], inner]) if shortcut else inner)
    joined = keras.layers.Concatenate(name=f"{name}_join")(states)
    return conv_bn_silu(joined, filters, f"{name}_out", seeds=seeds)


def pooled_context(x: Any, filters: int, name: str, *, seeds: Seeds) -> Any:
    """Spatial pyramid pooling: three max poolings of side 5 in a row, joined.

    Source: He et al. 2014 (SPP-net); in a row instead of side by side, which gives the same maps.
    """
    states = [conv_bn_silu(x, x.shape[-1] // 2, f"{name}_enter", seeds=seeds)]
    for k in range(3):
        states.append(keras.layers.MaxPooling2D(5, strides=1, padding="same", name=f"{name}_pool{k}")(states[-1]))
    return conv_bn_silu(keras.layers.Concatenate(name=f"{name}_join")(states), filters, f"{name}_out", seeds=seeds)


def fitted(x: Any, hw: tuple[int, int], name: str) -> Any:
    """The map `x` brought to another size by copying pixels; twice the size by plain up-sampling."""
    height, width = x.shape[1:3]
    if (height, width) == tuple(hw):
        return x
    if (2 * height, 2 * width) == tuple(hw):
        return keras.layers.UpSampling2D(2, name=f"{name}_up")(x)
    return keras.layers.Resizing(*hw, interpolation="nearest", name=f"{name}_up")(x)


def _joined(x: Any, other: Any, name: str) -> Any:
    return keras.layers.Concatenate(name=f"{name}_join")([fitted(x, other.shape[1:3], name), other])


def two_way_pyramid(maps: Any, widths: tuple[int, int, int], *, repeats: int, seeds: Seeds) -> list[Any]:
    """Features from coarse to fine and back: three maps (n, h, w, c) -> three of the same sizes with `widths`.

    Source: Liu et al. 2018 (PANet), section 3.1; CSP blocks as in Wang et al. 2021 (Scaled-YOLOv4).
    """
    fine, middle, coarse = maps
    top = csp_block(_joined(coarse, middle, "neck_down4"), widths[1], "neck_top4", seeds=seeds, repeats=repeats,
                    shortcut=False)  # fmt: skip
    out3 = csp_block(_joined(top, fine, "neck_down3"), widths[0], "neck_p3", seeds=seeds, repeats=repeats,
                     shortcut=False)  # fmt: skip
    up4 = conv_bn_silu(out3, widths[0], "neck_up4", seeds=seeds, kernel=3, stride=2)
    out4 = csp_block(_joined(up4, top, "neck_back4"), widths[1], "neck_p4", seeds=seeds, repeats=repeats,
                     shortcut=False)  # fmt: skip
    up5 = conv_bn_silu(out4, widths[1], "neck_up5", seeds=seeds, kernel=3, stride=2)
    out5 = csp_block(_joined(up5, coarse, "neck_back5"), widths[2], "neck_p5", seeds=seeds, repeats=repeats,
                     shortcut=False)  # fmt: skip
    return [out3, out4, out5]


def _plain_conv(x: Any, filters: int, name: str, *, seeds: Seeds, kernel: int) -> Any:
    start = keras.initializers.GlorotUniform(seed=next(seeds))
    return keras.layers.Conv2D(filters, kernel, padding="same", kernel_initializer=start, name=name)(x)


def feature_pyramid(maps: Any, width: int, *, seeds: Seeds) -> list[Any]:
    """Three maps (n, h, w, c), fine to coarse -> four maps of `width` at strides 8, 16, 32 and 64.

    Source: Lin et al. 2017 (Feature Pyramid Networks), section 3.
    """
    sides = [_plain_conv(x, width, f"neck_side{k}", seeds=seeds, kernel=1) for k, x in zip((3, 4, 5), maps)]
    for k in (1, 0):
        above = fitted(sides[k + 1], sides[k].shape[1:3], f"neck_down{k + 3}")
        sides[k] = keras.layers.Add(name=f"neck_add{k + 3}")([sides[k], above])
    out = [_plain_conv(x, width, f"neck_p{k}", seeds=seeds, kernel=3) for k, x in zip((3, 4, 5), sides)]
    return [*out, keras.layers.MaxPooling2D(1, strides=2, padding="same", name="neck_p6")(out[-1])]
