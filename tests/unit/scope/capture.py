"""Values of every call of a model for one picture, by running the calls one after another."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from convscope.backend.tensors import to_numpy
from convscope.scope.graph import Graph, Source


def run_calls(graph: Graph, *pictures: np.ndarray) -> dict[str, np.ndarray]:
    """Every call's first output without the batch axis, computed by the back end call by call."""
    tensors: list[list[Any]] = []
    given = iter(pictures)

    def filled(nest: Any) -> Any:
        if isinstance(nest, Source):
            return tensors[nest.call][nest.output]
        if isinstance(nest, dict):
            return {k: filled(v) for k, v in nest.items()}
        if isinstance(nest, (list, tuple)):
            return type(nest)(filled(v) for v in nest)
        return nest

    for call in graph.calls:
        if call.kind == "InputLayer":
            tensors.append([keras.ops.convert_to_tensor(next(given)[None])])
        else:
            outputs = call.operation(*filled(call.arguments), **filled(call.keywords))
            tensors.append(keras.tree.flatten(outputs))
    return {c.path: to_numpy(t[0])[0] for c, t in zip(graph.calls, tensors)}
