"""How a model, nested model or custom layer is opened into the nodes inside it, on symbolic tensors only."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from convscope.backend.selection import load_keras
from convscope.errors import ModelError

keras = load_keras()

# what the code of a user's `call` may raise when it meets a symbolic tensor; such a layer stays closed
REFUSALS = (TypeError, ValueError, AttributeError, NotImplementedError, RuntimeError, IndexError, KeyError)


@dataclass(frozen=True, eq=False)
class Inside:
    """What is inside an opened thing.

    Attributes:
        nodes: (node, name) in the order of execution.
        inputs: the symbolic tensors that the nodes start from; `values` are the caller's tensors in their place.
        outputs: nested structure of the tensors that the nodes end in.
    """

    nodes: tuple[tuple[Any, str], ...]
    inputs: tuple[Any, ...]
    values: tuple[Any, ...]
    outputs: Any


def kind_of(operation: Any) -> str | None:
    """The Keras kind of a layer or operation ("layers.Conv2D", "ops.Add"); None when its `call` is somebody else's.

    A subclass that leaves `call` alone is of its parent's kind.
    """
    made: Any = type(operation)
    parent: Any
    for parent in made.__mro__:
        family = parent.__module__.split(".")
        if family[:2] == ["keras", "src"] and family[2] in ("layers", "ops", "models"):
            same = made.call is parent.call
            return f"{family[2]}.{parent.__name__}" if same else None
    return None


def open_up(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Inside | str | None:
    """Open a model or custom layer called with symbolic tensors.

    Returns:
        What is inside; None for a plain Keras layer or operation; the reason in words where it can't be opened.
    """
    functional = _functional(operation)
    if functional is not None:
        inputs = args[0] if args else kwargs["inputs"]
        nodes = tuple((n, n.operation.name) for n in _nodes(functional))
        values = tuple(keras.tree.flatten(inputs))
        return Inside(nodes, tuple(functional.inputs), values, functional._outputs_struct)
    if kind_of(operation) is not None or not isinstance(operation, keras.layers.Layer):
        return None
    try:
        return _open_call(operation, args, kwargs)
    except REFUSALS as error:
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else 'no message'}"


def _functional(operation: Any) -> Any:
    """The functional graph that `operation` runs, or None."""
    if isinstance(operation, keras.Sequential) and type(operation).call is keras.Sequential.call:
        return operation._functional
    made: Any
    for made in type(operation).__mro__:
        # the class of keras.Model(inputs, outputs) has no public name
        if made.__name__ == "Functional" and made.__module__.startswith("keras.src.models"):
            return operation if type(operation).call is made.call else None
    return None


def _nodes(function: Any) -> Iterator[Any]:
    """Nodes of a keras.Function in the order in which it runs them."""
    by_depth = function._nodes_by_depth
    for depth in sorted(by_depth, reverse=True):
        yield from (n for n in by_depth[depth] if n.operation and not n.is_input)


def _open_call(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Inside:
    """Run the layer's own `call` on fresh symbolic tensors and read the nodes that it leaves."""
    outer = [t for t in keras.tree.flatten((args, kwargs)) if isinstance(t, keras.KerasTensor)]
    fresh = {id(t): keras.KerasTensor(t.shape, dtype=t.dtype) for t in outer}
    swapped_args, swapped = keras.tree.map_structure(lambda t: fresh.get(id(t), t), (args, kwargs))
    if "training" in inspect.signature(operation.call).parameters:
        swapped["training"] = False
    with _nodes_removed_afterwards(operation):
        outputs = operation.call(*swapped_args, **swapped)
        function = keras.Function([fresh[id(t)] for t in outer], outputs)
        nodes = tuple(_named(_nodes(function)))
    return Inside(nodes, tuple(function.inputs), tuple(outer), outputs)


def _named(nodes: Iterator[Any]) -> Iterator[tuple[Any, str]]:
    """Layers keep their name; operations made during the call get one that does not depend on earlier calls."""
    counts: dict[str, int] = {}
    for node in nodes:
        if isinstance(node.operation, keras.layers.Layer):
            yield node, node.operation.name
            continue
        kind = type(node.operation).__name__.lower()
        counts[kind] = counts.get(kind, -1) + 1
        yield node, kind if counts[kind] == 0 else f"{kind}_{counts[kind]}"


@contextmanager
def _nodes_removed_afterwards(operation: Any) -> Iterator[None]:
    """Leave the layers as they were: Keras notes each symbolic call on the layer."""
    layers = operation._flatten_layers(include_self=True, recursive=True)
    before = [(layer, len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in layers]
    try:
        yield
    finally:
        for layer, inbound, outbound in before:
            del layer._inbound_nodes[inbound:]
            del layer._outbound_nodes[outbound:]


def symbolic_inputs(model: Any, input_shapes: Any) -> Any:
    """Symbolic tensors for one picture, nested as `model` takes its inputs.

    Args:
        model: a built model or layer.
        input_shapes: shapes without the batch axis, nested alike; None for the model's own.

    Raises:
        ModelError: a size is not known.
    """
    functional = _functional(model)
    if functional is not None:
        struct = functional._inputs_struct
        flat = functional.inputs
        shapes = [t.shape[1:] for t in flat] if input_shapes is None else _flat_shapes(input_shapes)
        if len(shapes) != len(flat):
            raise ModelError(f"expected {len(flat)} input shapes for {model.name}, got {len(shapes)}")
        made = [_tensor(s, t.dtype, model.name) for s, t in zip(shapes, flat, strict=True)]
        return keras.tree.pack_sequence_as(struct, made)
    if input_shapes is None:
        config = model.get_build_config() or {}
        input_shapes = _without_batch(config.get("input_shape"))
    if input_shapes is None:
        raise ModelError(f"expected to know the input shape of {model.name}; give input_shapes, e.g. (224, 224, 3)")
    return _nested(input_shapes, lambda s: _tensor(s, keras.config.floatx(), model.name))


def _is_shape(nest: Any) -> bool:
    return isinstance(nest, (tuple, list)) and all(n is None or isinstance(n, int) for n in nest)


def _nested(nest: Any, function: Any) -> Any:
    if _is_shape(nest):
        return function(tuple(nest))
    if isinstance(nest, Mapping):
        return {k: _nested(nest[k], function) for k in sorted(nest)}
    return type(nest)(_nested(v, function) for v in nest)


def _flat_shapes(nest: Any) -> list[tuple[int | None, ...]]:
    found: list[tuple[int | None, ...]] = []
    _nested(nest, found.append)
    return found


def _without_batch(nest: Any) -> Any:
    return None if nest is None else _nested(nest, lambda s: s[1:])


def _tensor(shape: tuple[int | None, ...], dtype: str, name: str) -> Any:
    if any(n is None for n in shape):
        raise ModelError(
            f"expected the size of each input of {name}, got {shape}; give input_shapes, e.g. (224, 224, 3)"
        )
    return keras.KerasTensor((1, *shape), dtype=dtype)
