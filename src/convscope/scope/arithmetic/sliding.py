"""Convolutions and dense layers: patch x kernel, summed, plus bias, through the layer's own activation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from convscope.scope import windows
from convscope.scope.arithmetic.activations import activated
from convscope.scope.arithmetic.given import Factors, Given, Worked, axis_names, gathered, picked, rule


@dataclass(frozen=True, eq=False)
class Sum:
    """What one output channel sums up: factors, a kernel of their shape, names of the axes.

    `part_axis` is the axis along which partial sums are shown; `part_names` names its places. `places` says which
    number of the whole filter each kernel value is; None where all of them stand there in order.
    """

    factors: Factors
    kernel: np.ndarray
    axes: tuple[str, ...]
    part_axis: int | None = None
    part_names: tuple[str, ...] = ()
    places: np.ndarray | None = None


def summed(given: Given, sum_of: Callable[[int], Sum]) -> Worked:
    """Products, bias and activation of the chosen channel; the other channels only where a softmax needs them."""
    chosen = sum_of(given.channel)
    biases = given.weights(given.layer.bias) if given.layer.use_bias else None

    def total_of(part: Sum, channel: int) -> tuple[float, float]:
        products = part.factors.patch * part.kernel
        bias = 0.0 if biases is None else float(biases[channel])
        return float(products.sum()) + bias, float(np.abs(products).sum()) + abs(bias)

    def vector() -> tuple[np.ndarray, np.ndarray]:
        count = given.call.output_shape[0 if given.call.channel_axis == 0 else -1]
        every = np.array([total_of(sum_of(channel), channel) for channel in range(count)])
        return every[:, 0], every[:, 1]

    total, magnitude = total_of(chosen, given.channel)
    return Worked(
        "sum of products",
        chosen.axes,
        chosen.factors,
        total,
        magnitude,
        kernel=chosen.kernel,
        places=np.arange(chosen.kernel.size).reshape(chosen.kernel.shape) if chosen.places is None else chosen.places,
        partial_sums=_partial_sums(chosen),
        bias=None if biases is None else float(biases[given.channel]),
        steps=activated(given, given.layer.activation, total, magnitude, vector),
    )


def _partial_sums(part: Sum) -> tuple[tuple[str, float], ...]:
    if part.part_axis is None:
        return ()
    products = part.factors.patch * part.kernel
    others = tuple(a for a in range(products.ndim) if a != part.part_axis % products.ndim)
    return tuple(zip(part.part_names, (float(s) for s in products.sum(axis=others))))


def _by_channel(channels: range) -> tuple[str, ...]:
    return tuple(f"input channel {c}" for c in channels)


@rule("layers.Conv1D", "layers.Conv2D", "layers.Conv3D")
def _convolution(given: Given) -> Worked:
    """Each group of output channels reads its own group of input channels."""
    kernel = given.weights(given.layer.kernel)
    reads = given.taps(windows.convolution(given.call))
    width, groups = kernel.shape[-2], given.layer.groups
    axes = (*axis_names(len(reads)), "input channel")
    windows_by_group: dict[int, Factors] = {}

    def sum_of(channel: int) -> Sum:
        group = channel // (kernel.shape[-1] // groups)
        channels = range(group * width, (group + 1) * width)
        if group not in windows_by_group:
            windows_by_group[group] = gathered(given, reads, channels)
        return Sum(windows_by_group[group], kernel[..., channel], axes, -1, _by_channel(channels))

    return summed(given, sum_of)


@rule("layers.DepthwiseConv1D", "layers.DepthwiseConv2D")
def _depthwise(given: Given) -> Worked:
    """Output channel c x multiplier + m reads input channel c alone."""
    kernel = given.weights(given.layer.kernel)
    reads = given.taps(windows.convolution(given.call))
    axes = (*axis_names(len(reads)), "input channel")

    def sum_of(channel: int) -> Sum:
        source, which = divmod(channel, kernel.shape[-1])
        chosen = kernel[..., source : source + 1, which]
        return Sum(gathered(given, reads, range(source, source + 1)), chosen, axes, -1, (f"input channel {source}",))

    return summed(given, sum_of)


@rule("layers.SeparableConv1D", "layers.SeparableConv2D")
def _separable(given: Given) -> Worked:
    """A window per input channel and multiplier, then a weighted sum of them: one kernel, the product of the two.

    Factors have the multiplier as their last axis.
    """
    depthwise = given.weights(given.layer.depthwise_kernel)
    pointwise = given.weights(given.layer.pointwise_kernel)
    reads = given.taps(windows.convolution(given.call))
    inputs, multiplier = depthwise.shape[-2:]
    once = gathered(given, reads, range(inputs))
    patch, padding, source = (
        np.repeat(part[..., None], multiplier, axis=-1) for part in (once.patch, once.is_padding, once.source)
    )
    factors = Factors(patch, padding, source, np.repeat(once.positions[..., None, :], multiplier, axis=-2))
    axes = (*axis_names(len(reads)), "input channel", "multiplier")

    def sum_of(channel: int) -> Sum:
        weights = pointwise.reshape(inputs, multiplier, -1)[..., channel]
        return Sum(factors, depthwise * weights, axes, -2, _by_channel(range(inputs)))

    return summed(given, sum_of)


@rule("layers.Conv1DTranspose", "layers.Conv2DTranspose", "layers.Conv3DTranspose")
def _transposed(given: Given) -> Worked:
    """Every input value writes its kernel into the output; here are those that reach this place."""
    kernel = np.moveaxis(given.weights(given.layer.kernel), -2, -1)
    reads = given.taps(windows.transposed(given.call))
    taps = _transposed_taps(given, reads)
    factors = gathered(given, reads, range(kernel.shape[-2]))
    axes = (*axis_names(len(reads)), "input channel")
    filter_shape = kernel.shape[:-1]
    places = np.arange(int(np.prod(filter_shape))).reshape(filter_shape)[np.ix_(*taps)]

    def sum_of(channel: int) -> Sum:
        chosen = kernel[..., channel][np.ix_(*taps)]
        return Sum(factors, chosen, axes, -1, _by_channel(range(kernel.shape[-2])), places)

    return summed(given, sum_of)


def _transposed_taps(given: Given, reads: list[list[int]]) -> list[list[int]]:
    """Which kernel place each input position that reaches this value uses, per spatial axis."""
    layer, count = given.layer, len(reads)
    more = (None,) * count if layer.output_padding is None else windows.per_axis(layer.output_padding, count)
    found = []
    for axis, positions in enumerate(reads):
        kernel, stride, dilation = (
            windows.per_axis(s, count)[axis] for s in (layer.kernel_size, layer.strides, layer.dilation_rate)
        )
        before = windows.transposed_before(kernel, stride, dilation, layer.padding, more[axis])
        found.append([(given.at[axis] + before - i * stride) // dilation for i in positions])
    return found


@rule("layers.Dense")
def _dense(given: Given) -> Worked:
    """All numbers of the last axis, each with its own weight."""
    kernel = given.weights(given.layer.kernel)
    factors = picked(given, [(*given.at, i) for i in range(kernel.shape[0])])
    return summed(given, lambda channel: Sum(factors, kernel[:, channel], ("unit",)))
