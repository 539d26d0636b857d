"""Layers that only move numbers: padding, cropping, enlarging, reshaping, and those that do nothing at inference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from convscope.errors import ModelError
from convscope.records.arithmetic import Step
from convscope.scope import windows
from convscope.scope.arithmetic.given import RULES, Given, Single, Worked, axis_names, gathered, picked, rule, single
from convscope.scope.axes import per_axis
from convscope.scope.graph import Call
from convscope.scope.opening import kind_of
from convscope.scope.resizing import axis_weights


def copied(given: Given, place: tuple[int, ...]) -> Worked:
    """One value of the input as it is."""
    factors = picked(given, [place])
    value = float(factors.patch[0])
    return Worked("copy", ("factor",), factors, value, abs(value))


@single(
    "layers.Dropout", "layers.SpatialDropout1D", "layers.SpatialDropout2D", "layers.SpatialDropout3D",
    "layers.AlphaDropout", "layers.GaussianDropout", "layers.GaussianNoise", "layers.ActivityRegularization",
    "layers.Identity",
)  # fmt: skip
def _nothing(given: Given) -> Single:
    """These act during training only."""
    name = type(given.layer).__name__
    return lambda value, magnitude: Step(name, "x (acts in training only)", value, value, magnitude)


def _moved(given: Given, reads: Sequence[Sequence[int]]) -> Worked:
    factors = gathered(given, reads, [given.channel])
    value = float(factors.patch.sum())
    return Worked("copy", (*axis_names(len(reads)), "input channel"), factors, value, abs(value))


@rule("layers.ZeroPadding1D", "layers.ZeroPadding2D", "layers.ZeroPadding3D")
def _padding(given: Given) -> Worked:
    return _moved(given, given.taps(windows.padding(given.call)))


@rule("layers.Cropping1D", "layers.Cropping2D", "layers.Cropping3D")
def _cropping(given: Given) -> Worked:
    return _moved(given, given.taps(windows.cropping(given.call)))


@rule("layers.UpSampling1D", "layers.UpSampling2D", "layers.UpSampling3D")
def _enlarging(given: Given) -> Worked:
    """Nearest: the same value again; bilinear: the neighbours with weights by distance, pixel centres at halves."""
    taps = windows.enlarging(given.call)
    if taps is None:
        return _resizing(given)
    reads = given.taps(taps)
    if getattr(given.layer, "interpolation", "nearest") == "nearest":
        return _moved(given, reads)
    sizes = per_axis(given.layer.size, len(reads))
    weights = [_linear_weights(r, place, factor) for r, place, factor in zip(reads, given.at, sizes)]
    return _weighted(given, reads, weights)


@rule("layers.Resizing")
def _resizing(given: Given) -> Worked:
    """Weights along each axis, read off the back end's own resizing."""
    along = [w[place] for w, place in zip(axis_weights(given.call).values(), given.at, strict=True)]
    reads = [np.flatnonzero(w).tolist() for w in along]
    return _weighted(given, reads, [w[r] for w, r in zip(along, reads)])


def _weighted(given: Given, reads: Sequence[Sequence[int]], weights: Sequence[np.ndarray]) -> Worked:
    factors = gathered(given, reads, [given.channel])
    kernel = np.ones(factors.patch.shape)
    for axis, along in enumerate(weights):
        kernel = kernel * np.reshape(along, [-1 if a == axis else 1 for a in range(kernel.ndim)])
    products = factors.patch * kernel
    axes = (*axis_names(len(reads)), "input channel")
    return Worked("weighted mean", axes, factors, float(products.sum()), float(np.abs(products).sum()), kernel=kernel)


def _linear_weights(reads: Sequence[int], place: int, factor: int) -> np.ndarray:
    """Weights of the positions read, by their distance to (place + 1/2) / factor - 1/2; the border repeats."""
    if len(reads) == 1:
        return np.ones(1)
    centre = (place + 0.5) / factor - 0.5
    return np.array([1 - abs(centre - i) for i in reads])


@rule("layers.Flatten", "layers.Reshape", "ops.Reshape", "ops.Squeeze", "ops.ExpandDims")
def _reshaped(given: Given) -> Worked:
    """The same number at another place; Keras keeps the order of the array (channels last in Flatten)."""
    first_out = given.call.channel_axis == 0 and len(given.index) > 1
    own = (given.index[-1], *given.index[:-1]) if first_out else given.index
    number = int(np.ravel_multi_index(own, given.call.output_shape))
    first_in = given.firsts[0] and given.inputs[0].ndim > 1
    if given.call.family == "layers.Flatten" and given.layer.data_format == "channels_first":
        return copied(given, _unravelled(number, given.inputs[0].shape))
    place = _unravelled(number, given.call.input_shapes[0])
    return copied(given, (*place[1:], place[0]) if first_in else place)


def _unravelled(number: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(number, shape))


@rule("layers.Permute")
def _permuted(given: Given) -> Worked:
    order = [d - 1 for d in given.layer.dims]
    place = [0] * len(order)
    for new, old in enumerate(order):
        place[old] = given.index[new]
    return copied(given, tuple(place))


@rule("layers.RepeatVector")
def _repeated(given: Given) -> Worked:
    return copied(given, (given.channel,))


@rule("layers.TimeDistributed")
def _per_step(given: Given) -> Worked:
    """The layer inside, at one step of the first axis."""
    inner = _inner_call(given.call)
    found = RULES.get(inner.family or "")
    if found is None:
        raise ModelError(f"no arithmetic for {inner.kind} inside {given.call.path}")
    step = given.index[0]
    worked = found(replace(given, call=inner, inputs=(given.inputs[0][step],), index=given.index[1:]))
    positions = worked.factors.positions
    moved = np.concatenate([np.full((*positions.shape[:-1], 1), step), positions], axis=-1)
    return replace(worked, factors=replace(worked.factors, positions=moved))


def _inner_call(call: Call) -> Call:
    return replace(
        call,
        operation=call.operation.layer,
        kind=type(call.operation.layer).__name__,
        family=kind_of(call.operation.layer),
        input_shapes=tuple(s[1:] for s in call.input_shapes),
        output_shapes=tuple(s[1:] for s in call.output_shapes),
    )
