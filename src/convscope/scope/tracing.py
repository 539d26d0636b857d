"""One abstract run of a model: its calls and what makes its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

from convscope.backend import gradients as engine
from convscope.backend.selection import load_keras
from convscope.backend.tensors import in_fast_layout
from convscope.scope.batches import Inputs, fixed_batch
from convscope.scope.calls import Call, Head, Tracer, around_calls, tensors_in
from convscope.scope.override import LOW, in_float32, overridden, without_hiding
from convscope.scope.paths import operations_by_path


@dataclass(frozen=True, eq=False)
class Subject:
    """A built model, its operations by path, and whether 16-bit layers compute in float32 while looked at.

    `extra` are further (object, attribute, value) overrides that hold during each run (backward rules).
    """

    model: Any
    by_path: dict[str, Any]
    in_float32: bool
    extra: tuple[tuple[Any, str, Any], ...] = ()

    def changes(self, chosen: Sequence[str]) -> list[tuple[Any, str, Any]]:
        """What is overridden on the layers during a run that looks at the `chosen` paths."""
        hidden = without_hiding({"": self.model, **self.by_path}, chosen)
        low = in_float32([self.model, *self.by_path.values()]) if self.in_float32 else []
        return [*hidden, *low, *self.extra]

    def frozen_state(self, variables: Sequence[Any], values: Sequence[Any]) -> Any:
        """A scope in which the variables have these values and no update reaches the model."""
        keras = load_keras()
        scope = keras.StatelessScope()
        for variable, value in zip(variables, values):
            scope.add_update((variable, keras.ops.cast(value, "float32") if id(variable) in self._low else value))
        return scope

    @cached_property
    def _low(self) -> frozenset[int]:
        """The 16-bit variables that count as float32 while looked at; found once, since each run asks."""
        dtype_of = load_keras().backend.standardize_dtype
        return frozenset(id(v) for v in self.model.variables if self.in_float32 and dtype_of(v.dtype) in LOW)

    def run(self, inputs: Any) -> Any:
        """The model's outputs, as in inference."""
        takes = getattr(self.model, "_call_has_training_arg", False)
        return self.model(inputs, training=False) if takes else self.model(inputs)


@dataclass(frozen=True, eq=False)
class Trace:
    """The calls of one run by name, in order, and the heads of its outputs."""

    calls: dict[str, Call]
    heads: tuple[Head, ...]

    @cached_property
    def is_channels_first(self) -> bool:
        """Whether a layer reads pictures with their channels before height and width."""
        return any(getattr(c.layer, "data_format", None) == "channels_first" for c in self.calls.values())

    @cached_property
    def largest_output(self) -> int:
        """Bytes of the largest tensor that a call makes of one picture, in float32."""
        return 4 * max((prod(shape) for call in self.calls.values() for shape in call.output_shapes), default=0)

    def names(self) -> list[str]:
        """What can be chosen: call names, with ":0", ":1" where a call gives several tensors."""
        names: list[str] = []
        for call in self.calls.values():
            parts = len(call.output_shapes)
            names.extend([call.name] if parts == 1 else [f"{call.name}:{i}" for i in range(parts)])
        return names


def as_tensors(structure: Any, *, channels_first: bool = False) -> Any:
    """Arrays of a nested structure as tensors of the back end; pictures with channels first laid out for speed."""
    keras = load_keras()
    tensors = keras.tree.map_structure(keras.ops.convert_to_tensor, structure)
    return in_fast_layout(tensors) if channels_first else tensors


def built_subject(model: Any, given: Inputs, *, in_float32: bool) -> Subject:
    """The model with its weights made where they did not exist yet, as a first call would; no value is touched."""
    keras = load_keras()
    if isinstance(model, keras.Sequential) and not model.built:
        model.build(next((None, *x.shape[1:]) for x in keras.tree.flatten(given.structure)))
    layers = [model, *operations_by_path(model).values()]
    if not all(getattr(layer, "built", True) for layer in layers):
        one = as_tensors(given.take(0, 1, fixed_batch(model) or 1))
        with engine.random_state_kept(), keras.StatelessScope():
            Subject(model, {}, False).run(one)
    return Subject(model, operations_by_path(model), in_float32)


def discover(subject: Subject, given: Inputs) -> Trace:
    """Find the calls for inputs of this shape; shapes only, except on PyTorch, where one sample is really run."""
    size = fixed_batch(subject.model) or 1
    arguments = as_tensors(given.take(0, min(size, given.n), size))
    variables = subject.model.variables
    found: list[Trace] = []

    def listen(values: list[Any], inputs: Any) -> None:
        tracer = Tracer(tensors_in(inputs))
        with (
            overridden(subject.changes(list(subject.by_path))),
            around_calls(subject.by_path, tracer.around),
            subject.frozen_state(variables, values),
        ):
            outputs = subject.run(inputs)
        calls = tracer.calls(size)
        found.append(Trace({c.name: c for c in calls}, tuple(tracer.heads(tensors_in(outputs)))))

    with engine.random_state_kept():
        engine.run_abstractly(listen, variables, arguments)
    return found[-1]
