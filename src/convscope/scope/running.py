"""Run the calls of a graph one after another, and differentiate a value of any of them by the input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from convscope.backend.gradients import Tap, compile_tapped
from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.scope.graph import Call, Graph, Source

keras = load_keras()

# (call, its input tensors) -> its output tensors, flat
Perform = Callable[[Call, list[Any]], list[Any]]


def filled(nest: Any, tensor_of: Callable[[Source], Any]) -> Any:
    """Nested arguments with each Source replaced by its tensor."""
    if isinstance(nest, Source):
        return tensor_of(nest)
    if isinstance(nest, Mapping):
        return {k: filled(v, tensor_of) for k, v in nest.items()}
    if isinstance(nest, (list, tuple)):
        return type(nest)(filled(v, tensor_of) for v in nest)
    return nest


def perform(call: Call, tensors: list[Any]) -> list[Any]:
    """Run the call's own layer or operation."""
    given = iter(tensors)
    args, kwargs = filled((call.arguments, call.keywords), lambda source: next(given))
    return list(keras.tree.flatten(call.operation(*args, **kwargs)))


def before(graph: Graph, index: int) -> list[int]:
    """The call and all calls that it depends on, in the order of execution."""
    wanted, reached = [index], set()
    while wanted:
        here = wanted.pop()
        if here not in reached:
            reached.add(here)
            wanted.extend(s.call for s in graph.calls[here].inputs)
    return sorted(reached)


def run(graph: Graph, index: int, known: Mapping[int, list[Any]], do: Perform = perform) -> list[Any]:
    """The outputs of one call.

    Args:
        graph: the calls.
        index: which call.
        known: outputs of calls that need not be run; at least those of the model's inputs.
        do: what runs a call.
    """
    tensors = dict(known)
    for here in before(graph, index):
        if here not in tensors:
            call = graph.calls[here]
            tensors[here] = do(call, [tensors[s.call][s.output] for s in call.inputs])
    return tensors[index]


def input_gradient(
    graph: Graph, call: Call, pictures: Sequence[np.ndarray], mask: np.ndarray, do: Perform = perform
) -> list[np.ndarray | None]:
    """The gradient of sum(mask x the call's first output) by each input of the model.

    Args:
        graph: the calls.
        call: whose output.
        pictures: one array (n, ...) for each input of the graph.
        mask: broadcastable to (n, *output shape).
        do: what runs a call.

    Returns:
        One array (n, ...) per input; None where the value does not depend on it.
    """
    starts = [c.index for c in graph.inputs]
    operations = [graph.calls[i].operation for i in before(graph, call.index)]
    variables = list({id(v): v for o in operations for v in getattr(o, "variables", ())}.values())

    def scored(tap: Tap, values: list[Any], given: Any) -> tuple[Any, Any]:
        images, weights = given
        known = {i: [tap(str(i), x)] for i, x in zip(starts, images)}
        with keras.StatelessScope(state_mapping=list(zip(variables, values))):
            output = run(graph, call.index, known, do)[0]
        return keras.ops.sum(keras.ops.cast(output, "float32") * weights), {}

    example = keras.tree.map_structure(keras.ops.convert_to_tensor, (list(pictures), mask.astype(np.float32)))
    _, gradients = compile_tapped(scored, variables, example, differentiate=True)(example)
    return [to_numpy(gradients[str(i)]) if str(i) in gradients else None for i in starts]
