"""The calls of a model in the order in which they run: what was called, with what, on which shapes.

Functional and Sequential models are walked node by node, nested ones and shared layers included. Subclassed models
and custom layers are opened by running their `call` on symbolic tensors; nothing is computed and the model is left as
it was. What can't be opened stays one call, and `Graph.closed` says why.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from convscope.backend.selection import load_keras
from convscope.errors import ModelError, UnknownLayerError
from convscope.registry import nearest
from convscope.scope.opening import Inside, kind_of, open_up, symbolic_inputs
from convscope.scope.paths import operations_by_path

keras = load_keras()

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Source:
    """A tensor: the call that made it and which of its outputs it is."""

    call: int
    output: int = 0


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer or functional operation.

    Attributes:
        index: its place in the order of execution.
        path: "backbone/block2/conv1", with "#1" for a shared layer's second call.
        kind: class name ("Conv2D"); for a functional operation its class ("Add").
        family: the Keras kind that rules are registered for ("layers.Conv2D"); None for a closed custom layer.
        operation: the layer or operation itself.
        inputs: the tensors it takes, in the order of its arguments.
        arguments, keywords: how it was called; each tensor is replaced by its Source.
        input_shapes, output_shapes: without the batch axis.
        output_dtypes: "float32" ...
        channel_axis: -1 (channels last) or 0 (channels first) in those shapes.
        first: False for the second and later calls of shared weights.
    """

    index: int
    path: str
    kind: str
    family: str | None
    operation: Any
    inputs: tuple[Source, ...]
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    input_shapes: tuple[Shape, ...]
    output_shapes: tuple[Shape, ...]
    output_dtypes: tuple[str, ...]
    channel_axis: int = -1
    first: bool = True

    @property
    def output_shape(self) -> Shape:
        """The shape of the first output, without the batch axis."""
        return self.output_shapes[0]


@dataclass(frozen=True, eq=False)
class Graph:
    """All calls of a model on inputs of one size.

    Attributes:
        calls: in the order of execution; the model's inputs come first, as calls of kind "InputLayer".
        outputs: the model's outputs, flat.
        composites: path of a nested model or custom layer -> the tensor that it returns first.
        holders: path -> the nested model or custom layer itself, inner ones first; the whole model under its name.
        closed: path -> why a custom layer could not be opened.
    """

    calls: tuple[Call, ...]
    outputs: tuple[Source, ...]
    composites: dict[str, Source]
    holders: dict[str, Any]
    closed: dict[str, str]

    @property
    def inputs(self) -> tuple[Call, ...]:
        """The model's inputs."""
        return tuple(c for c in self.calls if c.kind == "InputLayer")

    def find(self, path: str) -> Call:
        """The call with this path ("conv1" is the same as "conv1#0"); for a nested model its last call.

        Raises:
            UnknownLayerError: naming the nearest paths.
        """
        wanted = path.removesuffix("#0")
        for call in self.calls:
            if call.path == wanted:
                return call
        if wanted in self.composites:
            return self.calls[self.composites[wanted].call]
        known = [c.path for c in self.calls] + list(self.composites)
        raise UnknownLayerError(f"expected a layer call of the model, got {path!r}; {nearest(path, known)}")

    def consumers(self, call: Call) -> tuple[Call, ...]:
        """The calls that take an output of `call`."""
        return tuple(c for c in self.calls if any(s.call == call.index for s in c.inputs))


def graph_of(model: Any, input_shapes: Any = None) -> Graph:
    """List the calls of `model` with concrete shapes; nothing is computed.

    Args:
        model: any built Keras 3 model or layer.
        input_shapes: shape of each input without the batch axis, nested as the model takes its inputs; None takes
            the model's own, which must then be complete.

    Raises:
        ModelError: no Keras model, a model without built weights, or an input size that is not known.
    """
    if not isinstance(model, keras.layers.Layer):
        raise ModelError(f"expected a Keras model, got {type(model).__name__}")
    if not model.built:
        raise ModelError(f"expected a built model, got {model.name} without weights; call it on one picture first")
    tensors = symbolic_inputs(model, input_shapes)
    flat = keras.tree.flatten(tensors)
    walk = _Walk({id(operation): path for path, operation in operations_by_path(model).items()})
    for name, tensor in zip(_input_names(model, len(flat)), flat, strict=True):
        layer = keras.layers.InputLayer(batch_shape=tensor.shape, dtype=tensor.dtype, name=name)
        walk.record(name, layer, (), {}, [tensor])
    outputs = walk.enter(model, (tensors,), {}, "")
    sources = tuple(walk.sources[id(t)] for t in keras.tree.flatten(outputs))
    return Graph(tuple(_with_channel_axes(walk.calls)), sources, walk.composites, walk.holders, walk.closed)


def _input_names(model: Any, count: int) -> list[str]:
    tensors = getattr(getattr(model, "_functional", None) or model, "inputs", None) or []
    names = [t._keras_history.operation.name for t in tensors if hasattr(t, "_keras_history")]
    if len(names) == count:
        return names
    return ["input"] if count == 1 else [f"input_{i}" for i in range(count)]


@dataclass
class _Walk:
    """Collects calls while symbolic tensors are followed; these are told apart by identity, so all are kept alive.

    `paths` names the operations that the model holds; those made while a custom layer runs are named on the way.
    """

    paths: dict[int, str]
    calls: list[Call] = field(default_factory=list)
    sources: dict[int, Source] = field(default_factory=dict)
    composites: dict[str, Source] = field(default_factory=dict)
    holders: dict[str, Any] = field(default_factory=dict)
    closed: dict[str, str] = field(default_factory=dict)
    kept: list[Any] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    seen: set[int] = field(default_factory=set)

    def enter(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], path: str) -> Any:
        """Follow one call: node by node where it can be opened, else as one call. Returns its symbolic outputs."""
        inner = open_up(operation, args, kwargs)
        if not isinstance(inner, Inside):
            outputs = operation.compute_output_spec(*args, **kwargs)
            name = self.record(path or operation.name, operation, args, kwargs, keras.tree.flatten(outputs))
            if isinstance(inner, str):
                self.closed[name] = inner
            return outputs
        self.kept.append(inner)
        known = {id(t): value for t, value in zip(inner.inputs, inner.values, strict=True)}
        for node, name in inner.nodes:
            if any(id(t) not in known for t in node.input_tensors):
                continue
            call_args, call_kwargs = node.arguments.fill_in(known)
            below = self.paths.get(id(node.operation)) or f"{path}/{name}".removeprefix("/")
            made = self.enter(node.operation, call_args, call_kwargs, below)
            known.update({id(t): value for t, value in zip(node.outputs, keras.tree.flatten(made), strict=True)})
        outputs = keras.tree.map_structure(lambda t: known[id(t)], inner.outputs)
        self.holders.setdefault(path or operation.name, operation)
        if path:
            first = keras.tree.flatten(outputs)[0]
            self.composites[self._numbered(path)] = self.sources[id(first)]
        return outputs

    def _numbered(self, path: str) -> str:
        number = self.counts[path]
        self.counts[path] += 1
        return f"{path}#{number}" if number else path

    def record(
        self, path: str, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: list[Any]
    ) -> str:
        """Add a call; return its path."""
        tensors = [t for t in keras.tree.flatten((args, kwargs)) if isinstance(t, keras.KerasTensor)]
        replaced = keras.tree.map_structure(
            lambda t: self.sources[id(t)] if isinstance(t, keras.KerasTensor) else t, (args, kwargs)
        )
        index = len(self.calls)
        call = Call(
            index=index,
            path=self._numbered(path),
            kind=type(operation).__name__,
            family=kind_of(operation),
            operation=operation,
            inputs=tuple(self.sources[id(t)] for t in tensors),
            arguments=replaced[0],
            keywords=replaced[1],
            input_shapes=tuple(tuple(t.shape[1:]) for t in tensors),
            output_shapes=tuple(tuple(t.shape[1:]) for t in outputs),
            output_dtypes=tuple(str(t.dtype) for t in outputs),
            first=id(operation) not in self.seen,
        )
        self.calls.append(call)
        self.seen.add(id(operation))
        self.kept.extend((operation, *outputs))
        self.sources.update({id(t): Source(index, i) for i, t in enumerate(outputs)})
        return call.path


def _with_channel_axes(calls: list[Call]) -> list[Call]:
    """Say where the channels are: a layer's own `data_format`, else that of what it takes.

    An input takes the order of the first layer below it that has one, else Keras' own setting.
    """
    first_format: dict[int, str] = {}
    for call in reversed(calls):
        own = getattr(call.operation, "data_format", None)
        below = own or first_format.get(call.index)
        for source in call.inputs:
            if below:
                first_format[source.call] = below
    found: list[Call] = []
    for call in calls:
        own = getattr(call.operation, "data_format", None)
        if own is None and call.inputs:
            axis = found[call.inputs[0].call].channel_axis
        else:
            order = own or first_format.get(call.index) or keras.config.image_data_format()
            axis = 0 if order == "channels_first" else -1
        found.append(replace(call, channel_axis=axis if len(call.output_shape) > 1 else -1))
    return found
