"""A second way to the receptive field: the support of a gradient, through a copy of the model with one channel.

Every layer is replaced by one that sums what it reads with positive weights: kernels of ones, averages in place of
maxima, nothing in place of activations and normalisations (plus the mean, where these look at all places). The gradient
is set to (g != 0) behind every layer, so that it can neither grow nor vanish; what is left of it is what can matter.
The user's model is not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from convscope.backend.selection import load_keras
from convscope.errors import ModelError
from convscope.scope.axes import channel_axis_in, normalised_axes
from convscope.scope.field.rules import PLAIN_LAYERS, PLAIN_OPERATIONS
from convscope.scope.graph import Call, Graph
from convscope.scope.running import input_gradient

keras = load_keras()

Tensors = list[Any]
Stand = Callable[[Call, Tensors], Any]
STANDS: dict[str, Stand] = {}


def stand(*families: str) -> Callable[[Stand], Stand]:
    """Register what stands in for some kinds of layer."""

    def register(function: Stand) -> Stand:
        STANDS.update(dict.fromkeys(families, function))
        return function

    return register


def support_of(graph: Graph, path: str, at: Sequence[int]) -> tuple[np.ndarray | None, ...]:
    """Which pixels of each input can change the value of `path` at a place, over all channels.

    Args:
        graph: the calls of the model.
        path: the call.
        at: place in the layer's own array, without channel.

    Returns:
        One boolean array per input of the model, of its spatial shape; None where the value does not depend on it.

    Raises:
        ModelError: a layer on the way has no stand-in.
    """
    call = graph.find(path)
    pictures = [np.ones((1, *_narrow(c)), np.float32) for c in graph.inputs]
    shape = _narrow(call)
    mask = np.zeros((1, *shape), np.float32)
    place = (0, *at) if _has_first(call) else (*at, 0)
    mask[(0, *place)] = 1.0
    found = input_gradient(graph, call, pictures, mask, _perform)
    return tuple(
        None if g is None else np.squeeze(g[0], axis=0 if _has_first(c) else -1) != 0
        for c, g in zip(graph.inputs, found, strict=True)
    )


def _has_first(call: Call) -> bool:
    return call.channel_axis == 0 and len(call.output_shape) > 1


def _narrow(call: Call) -> tuple[int, ...]:
    """The call's output shape with one channel."""
    shape = list(call.output_shape)
    if len(shape) > 0:
        shape[0 if _has_first(call) else -1] = 1
    return tuple(shape)


def _perform(call: Call, tensors: Tensors) -> Tensors:
    found = STANDS.get(call.family or "")
    if found is None:
        raise ModelError(f"no stand-in for {call.kind} at {call.path}: its gradient support can't be found")
    return [reset(found(call, tensors))] * len(call.output_shapes)


def reset(tensor: Any) -> Any:
    """The tensor itself, whose gradient becomes 1 where it is not zero."""

    @keras.ops.custom_gradient
    def same(x: Any) -> Any:
        def gradient(*args: Any, upstream: Any = None) -> Any:
            arrived = args[0] if upstream is None else upstream
            return keras.ops.cast(keras.ops.not_equal(arrived, 0), "float32")

        return x * 1.0, gradient

    return same(tensor)


def _dims(pattern: str) -> list[str]:
    return [f"layers.{pattern.replace('?', str(n))}" for n in (1, 2, 3)]


def _copy(call: Call, kind: type, **changes: Any) -> Any:
    """A layer of `kind` with the settings of the call's own that it takes."""
    config = call.operation.get_config()
    kept = (
        "kernel_size",
        "strides",
        "padding",
        "dilation_rate",
        "data_format",
        "output_padding",
        "pool_size",
        "keepdims",
    )
    settings = {k: config[k] for k in kept if k in config}
    return kind(dtype="float32", **{**settings, **changes})


def _weighted(call: Call, tensors: Tensors, kind: type, **changes: Any) -> Any:
    """One kernel of ones over one channel; built outside of the trace's bookkeeping."""
    layer = _copy(call, kind, use_bias=False, **changes)
    operation, settings = (
        (keras.ops.conv_transpose, {"output_padding": getattr(layer, "output_padding", None)})
        if "Transpose" in kind.__name__
        else (keras.ops.conv, {})
    )
    padding, x = layer.padding, tensors[0]
    if padding == "causal":
        reach = (layer.kernel_size[0] - 1) * layer.dilation_rate[0]
        first = layer.data_format == "channels_first"
        x = keras.ops.pad(x, [(0, 0), (0, 0), (reach, 0)] if first else [(0, 0), (reach, 0), (0, 0)])
        padding = "valid"
    kernel = keras.ops.ones((*layer.kernel_size, 1, 1), dtype="float32")
    return operation(
        x,
        kernel,
        strides=list(layer.strides),
        padding=padding,
        data_format=layer.data_format,
        dilation_rate=list(layer.dilation_rate),
        **settings,
    )


def _rank(call: Call) -> int:
    return len(call.input_shapes[0]) - 1


@stand(*_dims("Conv?D"), "layers.SeparableConv1D", "layers.SeparableConv2D",
       "layers.DepthwiseConv1D", "layers.DepthwiseConv2D")  # fmt: skip
def _conv(call: Call, tensors: Tensors) -> Any:
    kind = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)[_rank(call) - 1]
    return _weighted(call, tensors, kind, filters=1)


@stand(*_dims("Conv?DTranspose"))
def _transposed(call: Call, tensors: Tensors) -> Any:
    kinds = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)
    return _weighted(call, tensors, kinds[_rank(call) - 1], filters=1)


@stand(*_dims("MaxPooling?D"), *_dims("AveragePooling?D"))
def _pool(call: Call, tensors: Tensors) -> Any:
    kinds = (keras.layers.AveragePooling1D, keras.layers.AveragePooling2D, keras.layers.AveragePooling3D)
    return _copy(call, kinds[_rank(call) - 1])(tensors[0])


@stand(*_dims("GlobalMaxPooling?D"), *_dims("GlobalAveragePooling?D"))
def _global_pool(call: Call, tensors: Tensors) -> Any:
    kinds = (
        keras.layers.GlobalAveragePooling1D,
        keras.layers.GlobalAveragePooling2D,
        keras.layers.GlobalAveragePooling3D,
    )
    return _copy(call, kinds[_rank(call) - 1])(tensors[0])


@stand(*_dims("ZeroPadding?D"), *_dims("Cropping?D"), *_dims("UpSampling?D"), "layers.Flatten")
def _itself(call: Call, tensors: Tensors) -> Any:
    return call.operation(tensors[0])


@stand(*(f"layers.{n}" for n in PLAIN_LAYERS.split()), *(f"ops.{n}" for n in PLAIN_OPERATIONS.split()))
def _plain(call: Call, tensors: Tensors) -> Any:
    """Nothing is done to one tensor; several are added."""
    total = tensors[0]
    for tensor in tensors[1:]:
        total = total + tensor
    return total


@stand("layers.Concatenate", "ops.Concatenate")
def _concatenated(call: Call, tensors: Tensors) -> Any:
    """Along the channels a sum, since there is one channel only."""
    axis = normalised_axes(call.operation.axis, len(call.output_shape))[0]
    channel = 0 if _has_first(call) else len(call.output_shape) - 1
    return _plain(call, tensors) if axis == channel else keras.ops.concatenate(tensors, axis=axis + 1)


@stand("layers.Dense")
def _dense(call: Call, tensors: Tensors) -> Any:
    return keras.ops.sum(tensors[0], axis=-1, keepdims=True)


@stand("layers.LayerNormalization", "layers.RMSNormalization", "layers.UnitNormalization", "layers.Softmax")
def _normalised(call: Call, tensors: Tensors) -> Any:
    """The value itself, and the mean over the places that share statistics with it."""
    axes = [a + 1 for a in normalised_axes(call.operation.axis, len(call.input_shapes[0]))]
    return tensors[0] + keras.ops.mean(tensors[0], axis=axes, keepdims=True)


@stand("layers.GroupNormalization")
def _groups(call: Call, tensors: Tensors) -> Any:
    axes = list(range(1, len(call.input_shapes[0]) + 1))
    return tensors[0] + keras.ops.mean(tensors[0], axis=axes, keepdims=True)


@stand("ops.Mean", "ops.Max", "ops.Sum", "ops.Min")
def _reduced(call: Call, tensors: Tensors) -> Any:
    setting, rank = call.operation.axis, len(call.input_shapes[0])
    axes = range(rank) if setting is None else normalised_axes(setting, rank)
    if channel_axis_in(call) in axes:
        raise ModelError(f"no stand-in for {call.kind} over the channels at {call.path}")
    return keras.ops.mean(tensors[0], axis=[a + 1 for a in axes], keepdims=call.operation.keepdims)
