"""What each sliding layer reads along each spatial axis; shared by receptive fields and arithmetic."""

from __future__ import annotations

from typing import Any

from convscope.scope.axes import pairs, per_axis, spatial_axes
from convscope.scope.field.taps import (
    Taps,
    divided,
    repeated,
    resized,
    same_padding,
    shifted,
    spread,
    transposed_before,
    window,
)
from convscope.scope.graph import Call

__all__ = [
    "adaptive",
    "convolution",
    "cropping",
    "enlarging",
    "padding",
    "per_axis",
    "pooling",
    "transposed",
    "transposed_before",
]


def before_of(padding: str, size: int, kernel: int, stride: int, dilation: int) -> int:
    """Padding before the first position for Keras' words "valid", "same" and "causal"."""
    if padding == "same":
        return same_padding(size, kernel, stride, dilation)[0]
    return (kernel - 1) * dilation if padding == "causal" else 0


def _sizes(call: Call) -> list[tuple[int, int, int]]:
    """(axis, length before, length after) for each spatial axis."""
    return [(a, call.input_shapes[0][a], call.output_shape[a]) for a in spatial_axes(call)]


def convolution(call: Call) -> dict[int, Taps]:
    """Taps of a (depthwise, separable) convolution by axis."""
    layer = call.operation
    return _sliding(call, layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding)


def pooling(call: Call) -> dict[int, Taps]:
    """Taps of a maximum or average pooling by axis."""
    layer = call.operation
    return _sliding(call, layer.pool_size, layer.strides, 1, layer.padding)


def _sliding(call: Call, kernel: Any, strides: Any, dilation: Any, padding: str) -> dict[int, Taps]:
    sizes = _sizes(call)
    ks, ss, ds = (per_axis(v, len(sizes)) for v in (kernel, strides, dilation))
    return {
        a: window(n, k, stride=s, dilation=d, before=before_of(padding, n, k, s, d), size_out=m)
        for (a, n, m), k, s, d in zip(sizes, ks, ss, ds)
    }


def transposed(call: Call) -> dict[int, Taps]:
    """Taps of a transposed convolution by axis: which inputs write to an output."""
    layer, sizes = call.operation, _sizes(call)
    count = len(sizes)
    more = (None,) * count if layer.output_padding is None else per_axis(layer.output_padding, count)
    settings = zip(sizes, *(per_axis(v, count) for v in (layer.kernel_size, layer.strides, layer.dilation_rate)), more)
    return {
        a: spread(n, k, stride=s, dilation=d, before=transposed_before(k, s, d, layer.padding, extra), size_out=m)
        for (a, n, m), k, s, d, extra in settings
    }


def padding(call: Call) -> dict[int, Taps]:
    """Taps of a zero padding by axis."""
    sizes = _sizes(call)
    given = pairs(call.operation.padding, len(sizes))
    return {a: shifted(n, before, m) for (a, n, m), (before, _) in zip(sizes, given)}


def cropping(call: Call) -> dict[int, Taps]:
    """Taps of a cropping by axis."""
    sizes = _sizes(call)
    given = pairs(call.operation.cropping, len(sizes))
    return {a: shifted(n, -before, m) for (a, n, m), (before, _) in zip(sizes, given)}


def enlarging(call: Call) -> dict[int, Taps] | None:
    """Taps of an UpSampling by axis; None for weights that have no rule here (bicubic, lanczos)."""
    sizes = _sizes(call)
    factors = per_axis(call.operation.size, len(sizes))
    kind = getattr(call.operation, "interpolation", "nearest")
    if kind == "nearest":
        return {a: repeated(n, f) for (a, n, _), f in zip(sizes, factors)}
    return {a: resized(n, m, linear=True) for a, n, m in sizes} if kind == "bilinear" else None


def adaptive(call: Call) -> dict[int, Taps]:
    """Taps of an adaptive pooling by axis."""
    return {a: divided(n, m) for a, n, m in _sizes(call)}
