"""Multiply-adds, operations, parameters and activation memory of every call, from shapes alone."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from convscope.records.cost import Cost, CostTable
from convscope.scope.field.rules import PLAIN_LAYERS, PLAIN_OPERATIONS
from convscope.scope.graph import Call, Graph, graph_of

# (multiply-adds, other operations)
Work = tuple[int, int]
Rule = Callable[[Call], Work]
RULES: dict[str, Rule] = {}

BYTES = {"float64": 8, "int64": 8, "uint64": 8, "float16": 2, "bfloat16": 2, "int16": 2, "uint16": 2}
ONE_BYTE = ("bool", "int8", "uint8", "float8_e4m3fn", "float8_e5m2")

FREE = """
    layers.InputLayer layers.Flatten layers.Reshape layers.Permute layers.RepeatVector layers.ZeroPadding1D
    layers.ZeroPadding2D layers.ZeroPadding3D layers.Cropping1D layers.Cropping2D layers.Cropping3D layers.Concatenate
    layers.UpSampling1D layers.UpSampling2D layers.UpSampling3D layers.LayerNormalization layers.GroupNormalization
    layers.UnitNormalization layers.RMSNormalization layers.Softmax ops.Reshape ops.Transpose ops.Concatenate
    ops.GetItem ops.Pad ops.Squeeze ops.ExpandDims ops.Softmax ops.LogSoftmax
"""
MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")


def rule(*families: str) -> Callable[[Rule], Rule]:
    """Register a rule for some kinds ("layers.Conv2D")."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(families, function))
        return function

    return register


def costs_of(graph: Graph) -> CostTable:
    """The cost of every call for one picture.

    Weights that a custom layer holds itself, and those of layers that are never called, follow as rows of their own.
    """
    rows = [cost_of(call) for call in graph.calls]
    seen = {id(w) for call in graph.calls for w in getattr(call.operation, "weights", ())}
    for path, holder in graph.holders.items():
        own = [w for w in holder.weights if id(w) not in seen]
        seen.update(id(w) for w in own)
        if own:
            rows.append(Cost(path, type(holder).__name__, 0, 0, sum(prod(w.shape) for w in own), 0))
    return CostTable(tuple(rows))


def cost_of(call: Call) -> Cost:
    """The cost of one call for one picture."""
    found = RULES.get(call.family or "")
    work = None if found is None else found(call)
    return Cost(
        layer=call.path,
        kind=call.kind,
        macs=None if work is None else work[0],
        flops=None if work is None else 2 * work[0] + work[1],
        parameters=parameters_of(call.operation) if call.first else 0,
        activation_bytes=sum(prod(s) * bytes_of(d) for s, d in zip(call.output_shapes, call.output_dtypes)),
    )


def parameters_of(operation: Any) -> int:
    """How many numbers a layer holds, its sublayers' included; 0 for a functional operation."""
    return sum(prod(w.shape) for w in getattr(operation, "weights", ()))


def bytes_of(dtype: str) -> int:
    """Bytes of one value."""
    return 1 if dtype in ONE_BYTE else BYTES.get(dtype, 4)


def _free(call: Call) -> Work:
    """Nothing is multiplied or summed, or it is left out by convention."""
    return 0, 0


RULES.update(dict.fromkeys(FREE.split(), _free))
RULES.update({f"layers.{name}": _free for name in PLAIN_LAYERS.split()})
RULES.update({f"ops.{name}": _free for name in PLAIN_OPERATIONS.split()})


@rule("layers.BatchNormalization")
def _batch_normalised(call: Call) -> Work:
    """As much as the bias that it melts into at inference."""
    return 0, prod(call.output_shape)


def _bias(call: Call) -> int:
    return prod(call.output_shape) if call.operation.use_bias else 0


@rule("layers.Conv1D", "layers.Conv2D", "layers.Conv3D")
def _convolution(call: Call) -> Work:
    """Each output value multiplies one kernel: k x k x input channels / groups."""
    per_value = prod(call.operation.kernel.shape[:-1])
    return prod(call.output_shape) * per_value, _bias(call)


@rule("layers.DepthwiseConv1D", "layers.DepthwiseConv2D")
def _depthwise(call: Call) -> Work:
    return prod(call.output_shape) * prod(call.operation.kernel_size), _bias(call)


@rule("layers.SeparableConv1D", "layers.SeparableConv2D")
def _separable(call: Call) -> Work:
    """One window per input channel and multiplier, then a 1 x 1 convolution."""
    layer = call.operation
    between = layer.pointwise_kernel.shape[-2]
    places = prod(call.output_shape) // layer.filters
    return places * between * (prod(layer.kernel_size) + layer.filters), _bias(call)


@rule("layers.Conv1DTranspose", "layers.Conv2DTranspose", "layers.Conv3DTranspose")
def _transposed(call: Call) -> Work:
    """Each input value is multiplied by one kernel; what falls over the border is counted, as it is computed."""
    return prod(call.input_shapes[0]) * prod(call.operation.kernel.shape[:-1]), _bias(call)


@rule("layers.Dense")
def _dense(call: Call) -> Work:
    return prod(call.output_shape) * call.input_shapes[0][-1], _bias(call)


@rule("layers.EinsumDense")
def _einsum(call: Call) -> Work:
    """The product of all index lengths, from the equation."""
    layer = call.operation
    given, _, result = layer.equation.replace(" ", "").partition("->")
    kernel = given.partition(",")[2]
    lengths = dict(zip(kernel, layer.kernel.shape))
    summed = [n for letter, n in lengths.items() if letter not in result]
    return prod(call.output_shape) * prod(summed), prod(call.output_shape) if layer.bias is not None else 0


@rule("layers.MultiHeadAttention")
def _attention(call: Call) -> Work:
    """Four projections (query, key, value, output), scores and weighted values, of each query with each key."""
    layer = call.operation
    query = call.input_shapes[0]
    value = call.input_shapes[1] if len(call.input_shapes) > 1 else query
    key = call.input_shapes[2] if len(call.input_shapes) > 2 else value
    places, others = prod(query[:-1]), prod(value[:-1])
    heads, width, value_width = layer.num_heads, layer.key_dim, layer.value_dim
    projections = places * query[-1] * heads * width + others * heads * (key[-1] * width + value[-1] * value_width)
    pairs = places * others * heads * (width + value_width)
    return projections + pairs + places * heads * value_width * call.output_shape[-1], 0


@rule("layers.LSTM", "layers.GRU", "layers.SimpleRNN")
def _recurrent(call: Call) -> Work:
    """Every matrix of the cell once per step."""
    matrices = sum(prod(w.shape) for w in call.operation.weights if len(w.shape) == 2)
    return call.input_shapes[0][0] * matrices, 0


POOLS = ("MaxPooling", "AveragePooling", "GlobalMaxPooling", "GlobalAveragePooling")


@rule(*(f"layers.{kind}{n}D" for kind in POOLS for n in (1, 2, 3)))
def _pooled(call: Call) -> Work:
    """One operation per value pooled over."""
    size = getattr(call.operation, "pool_size", None)
    return 0, prod(call.input_shapes[0]) if size is None else prod(call.output_shape) * prod(size)


@rule("ops.Mean", "ops.Max", "ops.Min", "ops.Sum")
def _reduced(call: Call) -> Work:
    return 0, prod(call.input_shapes[0])


@rule(*(f"layers.{name}" for name in MERGES), *(f"ops.{name}" for name in MERGES))
def _merged(call: Call) -> Work:
    """One operation per value and further input; an operand that is a plain number counts as an input."""
    return 0, prod(call.output_shape) * max(len(call.inputs) - 1, 1)


@rule("layers.TimeDistributed")
def _per_step(call: Call) -> Work:
    inner = costs_of(graph_of(call.operation.layer, call.input_shapes[0][1:]))
    return call.input_shapes[0][0] * inner.macs, call.input_shapes[0][0] * (inner.flops - 2 * inner.macs)
