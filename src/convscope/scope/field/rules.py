"""How each kind of layer changes the fields: one small function per kind, found by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from convscope.scope import windows
from convscope.scope.axes import channel_axis_in, normalised_axes, spatial_axes
from convscope.scope.field.taps import Taps, shifted, sliced
from convscope.scope.field.track import (
    State,
    Track,
    dropped,
    joined_along,
    merged,
    mixed,
    permuted,
    reshaped,
    union_of,
    windowed,
)
from convscope.scope.graph import Call
from convscope.scope.resizing import resizing_taps

Rule = Callable[[Call, Sequence[State]], State]
RULES: dict[str, Rule] = {}


def rule(*families: str) -> Callable[[Rule], Rule]:
    """Register a rule for some kinds ("layers.Conv2D", "ops.Add")."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(families, function))
        return function

    return register


def _dims(pattern: str) -> list[str]:
    return [f"layers.{pattern.replace('?', str(n))}D" for n in (1, 2, 3)]


def each(state: State, change: Callable[[Track], Track]) -> State:
    """Apply a change to all tracks of a state."""
    return {key: change(track) for key, track in state.items()}


def slide(call: Call, state: State, taps: dict[int, Taps], *, mixes_channels: bool) -> State:
    """Windows along the spatial axes, and all channels together where the layer sums over them."""
    channel = channel_axis_in(call)
    state = each(state, lambda t: mixed(t, (channel,))) if mixes_channels else state
    return each(state, lambda t: windowed(t, taps))


@rule(*_dims("Conv?"), "layers.SeparableConv1D", "layers.SeparableConv2D")
def _conv(call: Call, states: Sequence[State]) -> State:
    return slide(call, states[0], windows.convolution(call), mixes_channels=True)


@rule("layers.DepthwiseConv1D", "layers.DepthwiseConv2D")
def _depthwise(call: Call, states: Sequence[State]) -> State:
    return slide(call, states[0], windows.convolution(call), mixes_channels=True)


@rule("layers.Conv1DTranspose", "layers.Conv2DTranspose", "layers.Conv3DTranspose")
def _transposed(call: Call, states: Sequence[State]) -> State:
    return slide(call, states[0], windows.transposed(call), mixes_channels=True)


@rule(*_dims("MaxPooling?"), *_dims("AveragePooling?"))
def _pool(call: Call, states: Sequence[State]) -> State:
    return slide(call, states[0], windows.pooling(call), mixes_channels=False)


@rule(*_dims("AdaptiveMaxPooling?"), *_dims("AdaptiveAveragePooling?"))
def _adaptive(call: Call, states: Sequence[State]) -> State:
    return slide(call, states[0], windows.adaptive(call), mixes_channels=False)


@rule(*_dims("ZeroPadding?"))
def _padding(call: Call, states: Sequence[State]) -> State:
    return slide(call, states[0], windows.padding(call), mixes_channels=False)


@rule(*_dims("Cropping?"))
def _cropping(call: Call, states: Sequence[State]) -> State:
    return slide(call, states[0], windows.cropping(call), mixes_channels=False)


@rule(*_dims("UpSampling?"))
def _enlarging(call: Call, states: Sequence[State]) -> State:
    taps = windows.enlarging(call)
    return slide(call, states[0], resizing_taps(call) if taps is None else taps, mixes_channels=False)


@rule("layers.Resizing")
def _resizing(call: Call, states: Sequence[State]) -> State:
    layer = call.operation
    if getattr(layer, "crop_to_aspect_ratio", False) or getattr(layer, "pad_to_aspect_ratio", False):
        return everything(call, states)
    return slide(call, states[0], resizing_taps(call), mixes_channels=False)


@rule(*_dims("GlobalAveragePooling?"), *_dims("GlobalMaxPooling?"))
def _global_pool(call: Call, states: Sequence[State]) -> State:
    axes = spatial_axes(replace(call, channel_axis=0 if channel_axis_in(call) == 0 else -1))
    state = each(states[0], lambda t: mixed(t, axes))
    return state if call.operation.keepdims else each(state, lambda t: dropped(t, axes))


@rule("layers.Dense")
def _dense(call: Call, states: Sequence[State]) -> State:
    """A dense layer mixes the last axis and works alike at all other places."""
    return each(states[0], lambda t: mixed(t, (t.low.ndim - 1,)))


def _named(family: str, names: str) -> list[str]:
    return [f"{family}.{name}" for name in names.split()]


PLAIN_LAYERS = """
    InputLayer Activation ReLU LeakyReLU ELU PReLU Identity BatchNormalization Dropout SpatialDropout1D SpatialDropout2D
    SpatialDropout3D AlphaDropout GaussianDropout GaussianNoise ActivityRegularization Rescaling Normalization Masking
    Add Subtract Multiply Average Maximum Minimum
"""
PLAIN_OPERATIONS = """
    Add Subtract Multiply Divide TrueDivide FloorDivide Maximum Minimum Power Mod Where Relu Relu6 Sigmoid Tanh Elu Selu
    Gelu Silu Softplus Softsign LeakyRelu HardSigmoid HardSilu LogSigmoid Mish Celu HardTanh Exp Log Sqrt Rsqrt Square
    Absolute Abs Negative Sin Cos Erf Clip Cast Sign Reciprocal Round Floor Ceil StopGradient Expm1 Log1p
"""


@rule(*_named("layers", PLAIN_LAYERS), *_named("ops", PLAIN_OPERATIONS))
def _value_by_value(call: Call, states: Sequence[State]) -> State:
    """Each value depends on the values at its own place; several inputs are broadcast."""
    return union_of(states, [len(s) for s in call.input_shapes])


@rule("layers.LayerNormalization", "layers.RMSNormalization", "layers.UnitNormalization", "layers.Softmax")
def _normalised(call: Call, states: Sequence[State]) -> State:
    """The statistics depend on all positions along the normalised axes."""
    axes = normalised_axes(call.operation.axis, len(call.input_shapes[0]))
    return each(states[0], lambda t: mixed(t, axes))


@rule("ops.Softmax", "ops.LogSoftmax")
def _softmax(call: Call, states: Sequence[State]) -> State:
    axes = normalised_axes(call.operation.axis, len(call.input_shapes[0]))
    return each(states[0], lambda t: mixed(t, axes))


@rule("layers.Flatten", "layers.Reshape", "ops.Reshape", "ops.Squeeze", "ops.ExpandDims")
def _reshaped(call: Call, states: Sequence[State]) -> State:
    shape = call.input_shapes[0]
    if call.family == "layers.Flatten" and channel_axis_in(call) == 0 and len(shape) > 1:
        # Keras puts the channels last before it flattens
        order = (*range(1, len(shape)), 0)
        states = [each(states[0], lambda t: permuted(t, order))]
        shape = tuple(shape[a] for a in order)
    return each(states[0], lambda t: reshaped(t, shape, call.output_shape))


@rule("layers.Permute", "ops.Transpose")
def _permuted(call: Call, states: Sequence[State]) -> State:
    dims = call.operation.dims if call.family == "layers.Permute" else call.operation.axes
    if dims is None or (call.family != "layers.Permute" and dims[0] != 0):
        return everything(call, states)
    order = [d - 1 for d in dims] if call.family == "layers.Permute" else [d - 1 for d in dims[1:]]
    return each(states[0], lambda t: permuted(t, order))


@rule("layers.Concatenate", "ops.Concatenate")
def _concatenated(call: Call, states: Sequence[State]) -> State:
    """Along the channels the union of all branches; along space each part keeps its own field."""
    axis = normalised_axes(call.operation.axis, len(call.output_shape))[0]
    keys = {key for state in states for key in state}
    sizes = [shape[axis] for shape in call.input_shapes]
    found: State = {}
    for key in keys:
        present = [(s[key], n) for s, n in zip(states, sizes) if key in s]
        tracks = [t for t, _ in present]
        along_channels = axis == call.channel_axis % len(call.output_shape) and all(
            t.low.shape[axis] == 1 for t in tracks
        )
        found[key] = merged(tracks) if along_channels else joined_along(tracks, axis, [n for _, n in present])
    return found


@rule("ops.Mean", "ops.Max", "ops.Min", "ops.Sum", "ops.Var", "ops.Std", "ops.Prod", "ops.Logsumexp")
def _reduced(call: Call, states: Sequence[State]) -> State:
    rank = len(call.input_shapes[0])
    setting = call.operation.axis
    axes = tuple(range(rank)) if setting is None else normalised_axes(setting, rank)
    state = each(states[0], lambda t: mixed(t, axes))
    return state if getattr(call.operation, "keepdims", False) else each(state, lambda t: dropped(t, axes))


@rule("ops.GetItem")
def _sliced(call: Call, states: Sequence[State]) -> State:
    """Plain slices keep their pattern; anything else is taken as everything."""
    key = call.arguments[1] if len(call.arguments) > 1 else call.keywords["key"]
    key = key if isinstance(key, tuple) else (key,)
    if Ellipsis in key:
        place = key.index(Ellipsis)
        key = (*key[:place], *[slice(None)] * (len(call.input_shapes[0]) + 2 - len(key)), *key[place + 1 :])
    if not all(isinstance(k, slice) for k in key) or any((k.step or 1) < 1 for k in key):
        return everything(call, states)
    taps = {}
    for axis, part in enumerate(key[1:]):
        size = call.input_shapes[0][axis]
        start, _, step = part.indices(size)
        taps[axis] = sliced(size, start, step, call.output_shape[axis])
    return each(states[0], lambda t: windowed(t, taps))


@rule("ops.Pad")
def _padded(call: Call, states: Sequence[State]) -> State:
    if call.operation.mode != "constant":
        return everything(call, states)
    widths = call.operation.pad_width
    taps = {
        axis: shifted(call.input_shapes[0][axis], int(before), call.output_shape[axis])
        for axis, (before, _) in enumerate(widths[1:])
    }
    return each(states[0], lambda t: windowed(t, taps))


@rule(
    "layers.GroupNormalization",
    "layers.EinsumDense",
    "layers.Attention",
    "layers.AdditiveAttention",
    "layers.MultiHeadAttention",
    "layers.GroupQueryAttention",
    "layers.LSTM",
    "layers.GRU",
    "layers.SimpleRNN",
    "layers.Bidirectional",
    "layers.Dot",
)
def everything(call: Call, states: Sequence[State]) -> State:
    """All of the input behind each value: group statistics, attention, recurrence, and what has no rule."""
    rank = len(call.output_shape)
    found: State = {}
    for state in states:
        for key, track in state.items():
            low, high = track.low.min(), track.high.max()
            if key in found:
                low, high = min(low, found[key].low.min()), max(high, found[key].high.max())
            shape = (1,) * rank
            found[key] = Track(np.full(shape, low), np.full(shape, high), None, None, True, track.is_aligned)
    return found
