"""Which layers are called, in which order, on what shapes: one abstract run of the model, nothing left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from threading import get_ident
from typing import Any

from convscope.backend.selection import load_keras
from convscope.scope.override import overridden

MODEL_INPUT = "@input"
Around = Callable[[str, Any, Callable[..., Any], tuple, dict[str, Any]], Any]


@dataclass(frozen=True, eq=False)
class Call:
    """One call of one layer or functional operation.

    Attributes:
        name: path, with "#1" for a shared layer's second call ("backbone/conv1#1").
        path, number: the two parts of the name.
        kind: class name ("Conv2D", "Add").
        layer: the layer or operation itself; never changed.
        input_shapes, output_shapes: without the batch axis; a repeated call has its time axis first.
        dtypes: of the outputs ("float32").
        parents: for each input tensor the name of the call that made it, "@input" for a model input, "" where other
            code stands between.
        within: name of the enclosing call ("backbone"), "" at the top.
        steps: 1, or how often a TimeDistributed or RNN parent repeats it; its values are stacked on a time axis.
        channel_axis: of the first output, counted without the batch axis and before stacking; None below rank 2.
        folds_batch: True when a tensor's first axis is not the batch.
    """

    name: str
    path: str
    number: int
    kind: str
    layer: Any
    input_shapes: tuple[tuple[int, ...], ...]
    output_shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]
    parents: tuple[str, ...]
    within: str
    steps: int
    channel_axis: int | None
    folds_batch: bool = False
    first_raw: int = 0


@dataclass(frozen=True, eq=False)
class Head:
    """What makes one output of the model.

    `call` is the name of the innermost call that returns it ("" when other code does), `activation` "softmax" or
    "sigmoid" where that is the layer's own last step, else "".
    """

    shape: tuple[int, ...]
    call: str
    activation: str
    is_softmax_layer: bool = False


@dataclass(eq=False)
class _Raw:
    path: str
    layer: Any
    inputs: list[Any]
    outputs: list[Any] = field(default_factory=list)
    parents: list[_Raw | str] = field(default_factory=list)
    within: _Raw | None = None
    start: int = 0
    raw_number: int = 0
    name: str = ""


def tensors_in(structure: Any) -> list[Any]:
    """The tensors of a nested structure, flat."""
    keras = load_keras()
    return [x for x in keras.tree.flatten(structure) if keras.ops.is_tensor(x)]


def around_calls(by_path: dict[str, Any], around: Around) -> AbstractContextManager[None]:
    """In the block, each call of these operations by this thread goes through `around(path, layer, original, ...)`."""
    owner = get_ident()

    def stand_in(path: str, layer: Any, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if get_ident() != owner:
                return original(*args, **kwargs)
            return around(path, layer, original, args, kwargs)

        return call

    changes = []
    for path, layer in by_path.items():
        name = "call" if getattr(layer, "quantization_mode", None) is None else "quantized_call"
        changes.append((layer, name, stand_in(path, layer, getattr(layer, name))))
    return overridden(changes)


class Tracer:
    """Listens to one run of the model and turns what it heard into Calls and Heads."""

    def __init__(self, model_inputs: Iterable[Any]) -> None:
        """Remember which tensors are the model's own inputs."""
        self._keep = list(model_inputs)
        self._makers: dict[int, _Raw | str] = {id(t): MODEL_INPUT for t in self._keep}
        self._raws: list[_Raw] = []
        self._stack: list[_Raw] = []
        self._counts: dict[int, int] = {}

    def around(self, path: str, layer: Any, original: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
        """Note one call and let it happen."""
        raw = _Raw(path, layer, tensors_in((args, kwargs)))
        raw.parents = [self._makers.get(id(t), "") for t in raw.inputs]
        raw.within = self._stack[-1] if self._stack else None
        raw.start = len(self._raws)
        raw.raw_number = self._counts.get(id(layer), 0)
        self._counts[id(layer)] = raw.raw_number + 1
        self._raws.append(raw)
        self._stack.append(raw)
        try:
            result = original(*args, **kwargs)
        finally:
            self._stack.pop()
        raw.outputs = tensors_in(result)
        for tensor in raw.outputs:
            maker = self._makers.get(id(tensor), "")
            if isinstance(maker, str) or maker.start < raw.start:  # an inner call that made it stays its maker
                self._makers[id(tensor)] = raw
        return result

    def calls(self, batch: int) -> list[Call]:
        """The calls in the order in which they started."""
        groups: dict[tuple[int, int], list[_Raw]] = {}
        for raw in self._raws:
            repeat = _repeating(raw)
            groups.setdefault((id(raw.layer), raw.start if repeat is None else -1 - repeat.start), []).append(raw)
        numbered: list[tuple[int, list[_Raw]]] = []
        taken: dict[int, int] = {}
        for (layer, _), group in groups.items():
            number = taken.get(layer, 0)
            taken[layer] = number + 1
            numbered.append((number, group))
            for raw in group:
                raw.name = raw.path + (f"#{number}" if number else "")
        layouts: dict[str, str] = {}
        return [_call(group, number, batch, layouts) for number, group in numbered]

    def heads(self, outputs: list[Any]) -> list[Head]:
        """For each output tensor of the model, what made it."""
        return [self._head(tensor) for tensor in outputs]

    def _head(self, tensor: Any) -> Head:
        shape = tuple(tensor.shape)[1:]
        maker = self._makers.get(id(tensor), "")
        while isinstance(maker, _Raw) and maker.inputs and any(tensor is t for t in maker.inputs):
            maker = maker.parents[[tensor is t for t in maker.inputs].index(True)]  # it only handed its input on
        if isinstance(maker, str):
            return Head(shape, "", "")
        name = maker.name if len(maker.outputs) == 1 else ""
        return Head(shape, name, _last_step(maker.layer), isinstance(maker.layer, load_keras().layers.Softmax))


def _last_step(layer: Any) -> str:
    """The layer's own activation where that is "softmax" or "sigmoid", else ""."""
    keras = load_keras()
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    activation = getattr(layer, "activation", None)
    if activation is keras.activations.softmax or isinstance(activation, keras.layers.Softmax):
        return "softmax"
    return "sigmoid" if activation is keras.activations.sigmoid else ""


def _repeating(raw: _Raw) -> _Raw | None:
    """The outermost enclosing call that repeats its contents over time."""
    keras = load_keras()
    found, outer = None, raw.within
    while outer is not None:
        if isinstance(outer.layer, (keras.layers.TimeDistributed, keras.layers.RNN)):
            found = outer
        outer = outer.within
    return found


def _call(group: list[_Raw], number: int, batch: int, layouts: dict[str, str]) -> Call:
    keras, first, steps = load_keras(), group[0], len(group)
    time = (steps,) if steps > 1 else ()
    inputs = [tuple(int(d) for d in t.shape) for t in first.inputs]
    outputs = [tuple(int(d) for d in t.shape) for t in first.outputs]
    parents = tuple(p if isinstance(p, str) else p.name for p in first.parents)
    layouts[first.name] = layout = _layout(first.layer, parents, layouts)
    rank = len(outputs[0]) - 1 if outputs else 0
    return Call(
        name=first.name,
        path=first.path,
        number=number,
        kind=type(first.layer).__name__,
        layer=first.layer,
        input_shapes=tuple(time + s[1:] for s in inputs),
        output_shapes=tuple(time + s[1:] for s in outputs),
        dtypes=tuple(keras.backend.standardize_dtype(t.dtype) for t in first.outputs),
        parents=parents,
        within=first.within.name if first.within else "",
        steps=steps,
        channel_axis=None if rank < 1 else (0 if layout == "channels_first" and rank > 1 else rank - 1),
        folds_batch=any(not s or s[0] != batch for s in outputs),
        first_raw=first.raw_number,
    )


def _layout(layer: Any, parents: tuple[str, ...], layouts: dict[str, str]) -> str:
    """Its own data format, else that of what it takes in, else the latest one seen, else Keras' default."""
    own = getattr(layer, "data_format", None)
    if own in ("channels_first", "channels_last"):
        return str(own)
    inherited = [layouts[p] for p in parents if p in layouts]
    if inherited:
        return inherited[0]
    return next(reversed(layouts.values()), str(load_keras().config.image_data_format()))
