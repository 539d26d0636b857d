"""Operations inside a model's own `call` that no rule can reach, found before a method relies on reaching all."""

from __future__ import annotations

from typing import Any

from convscope.backend.selection import load_keras
from convscope.errors import ConvscopeError
from convscope.scope.graph import graph_of
from convscope.scope.opening import kind_of
from convscope.scope.tap import Probe

# they move, add or scale values and send any gradient back as it is
_HARMLESS = (
    "Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Negative", "Mean", "Sum", "Reshape", "Transpose",
    "Concatenate", "Stack", "Squeeze", "ExpandDims", "GetItem", "Pad", "Flip", "Cast", "Identity", "Copy", "Matmul",
    "Moveaxis", "Swapaxes", "Split", "BroadcastTo", "Repeat", "Tile", "Softmax", "Sigmoid", "LogSoftmax", "Conv",
    "AveragePool", "MaxPool", "InputLayer", "Resize", "Slice",
)  # fmt: skip


def hidden_operations(probe: Probe, images: Any) -> str:
    """Where an operation can't be reached, in words; empty when all can be."""
    probe.calls(images)
    known = {id(o) for o in probe.by_path.values()} | {id(probe.model)}
    own_code = [p or probe.model.name for p, o in [("", probe.model), *probe.by_path.items()] if _has_own_call(o)]
    if not own_code:
        return ""
    keras = load_keras()
    shapes = keras.tree.map_structure(lambda x: tuple(x.shape[1:]), images)
    try:
        graph = graph_of(probe.model, shapes)
    except ConvscopeError as error:
        return f"the code of {own_code[0]!r} can't be read ({error})"
    if graph.closed:
        path, reason = next(iter(graph.closed.items()))
        return f"layer {path!r} runs code of its own that can't be read ({reason})"
    for call in graph.calls:
        if id(call.operation) not in known and call.kind not in _HARMLESS:
            return f"the code of {own_code[0]!r} calls {call.kind} itself ({call.path!r})"
    return ""


def _has_own_call(operation: Any) -> bool:
    keras = load_keras()
    if not isinstance(operation, keras.layers.Layer):
        return False
    return type(operation).__name__ != "Functional" and kind_of(operation) is None
