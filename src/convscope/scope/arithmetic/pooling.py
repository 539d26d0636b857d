"""Pooling: the largest of a window, or its mean; the padding takes no part."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from convscope.backend.selection import backend_name
from convscope.scope import windows
from convscope.scope.arithmetic.given import Given, Worked, axis_names, gathered, rule
from convscope.scope.axes import per_axis
from convscope.scope.field.taps import same_padding


def _dims(*names: str) -> list[str]:
    return [f"layers.{name}{n}D" for name in names for n in (1, 2, 3)]


def largest(given: Given, reads: Sequence[Sequence[int]]) -> Worked:
    """The largest value of a window."""
    factors = gathered(given, reads, [given.channel], outside=-np.inf)
    value = float(factors.patch.max())
    return Worked("maximum", (*axis_names(len(reads)), "input channel"), factors, value, abs(value))


def mean(given: Given, reads: Sequence[Sequence[int]]) -> Worked:
    """The mean of the values inside the input, each with the weight 1 / n."""
    factors = gathered(given, reads, [given.channel])
    count = int((~factors.is_padding).sum())
    weights = np.where(factors.is_padding, 0.0, 1.0 / count)
    products = factors.patch * weights
    axes = (*axis_names(len(reads)), "input channel")
    magnitude = float(np.abs(products).sum())
    return Worked("mean", axes, factors, float(products.sum()), magnitude, kernel=weights, facts={"n": float(count)})


@rule(*_dims("MaxPooling"))
def _max_pooling(given: Given) -> Worked:
    return largest(given, given.taps(windows.pooling(given.call)))


@rule(*_dims("AveragePooling"))
def _average_pooling(given: Given) -> Worked:
    """Keras on PyTorch repeats the border where 'same' pads unevenly, and counts it; elsewhere padding is left out."""
    reads = given.taps(windows.pooling(given.call))
    if backend_name() == "torch" and _is_padded_unevenly(given):
        sizes = given.inputs[0].shape
        return mean(given, [[min(max(p, 0), n - 1) for p in read] for read, n in zip(reads, sizes)])
    return mean(given, reads)


def _is_padded_unevenly(given: Given) -> bool:
    layer, sizes = given.layer, given.inputs[0].shape[:-1]
    settings = zip(sizes, per_axis(layer.pool_size, len(sizes)), per_axis(layer.strides, len(sizes)))
    around = [same_padding(*setting) for setting in settings] if layer.padding == "same" else []
    return any(before != after for before, after in around)


@rule(*_dims("AdaptiveMaxPooling"))
def _adaptive_max(given: Given) -> Worked:
    return largest(given, given.taps(windows.adaptive(given.call)))


@rule(*_dims("AdaptiveAveragePooling"))
def _adaptive_mean(given: Given) -> Worked:
    return mean(given, given.taps(windows.adaptive(given.call)))


def _everywhere(given: Given) -> list[range]:
    return [range(n) for n in given.inputs[0].shape[:-1]]


@rule(*_dims("GlobalMaxPooling"))
def _global_max(given: Given) -> Worked:
    return largest(given, _everywhere(given))


@rule(*_dims("GlobalAveragePooling"))
def _global_mean(given: Given) -> Worked:
    return mean(given, _everywhere(given))


@rule("ops.Mean", "ops.Max", "ops.Sum")
def _reduced(given: Given) -> Worked:
    """A reduction over all places of a channel, as people write global pooling by hand."""
    kind = type(given.layer).__name__
    found = largest(given, _everywhere(given)) if kind == "Max" else mean(given, _everywhere(given))
    if kind != "Sum":
        return found
    count = prod(given.inputs[0].shape[:-1])
    return Worked("sum", found.axes, found.factors, found.total * count, found.magnitude * count)
