"""One compiled look: the function that runs a model with taps, and its results as NumPy arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convscope.backend import gradients as engine
from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.errors import TapUnreachableError
from convscope.scope.calls import MODEL_INPUT, tensors_in
from convscope.scope.override import overridden
from convscope.scope.target import Resolved
from convscope.scope.tracing import Subject, Trace
from convscope.scope.wiring import Place, Wiring


@dataclass(frozen=True, eq=False)
class Seen:
    """What one look gave, as NumPy arrays with one row per picture.

    Attributes:
        outputs: the model's outputs, flat.
        values, gradients: by place; gradients only where asked for. A repeated call has its time axis second.
        scores: (n,) float32 value of the target, `chosen` (n,) int32 the class it is of; None without a target.
        target: the resolved target of the whole input.
    """

    outputs: tuple[np.ndarray, ...]
    values: dict[Place, np.ndarray]
    gradients: dict[Place, np.ndarray] = field(default_factory=dict)
    scores: np.ndarray | None = None
    chosen: np.ndarray | None = None
    target: Resolved | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all values and gradients."""
        return sum(array.nbytes for arrays in (self.values, self.gradients) for array in arrays.values())


@dataclass(frozen=True, eq=False)
class Look:
    """What is asked for: places, a target or None, and whether to differentiate its score at the places.

    With `half` the values at the places come as float16; the back end casts faster than NumPy.
    """

    places: tuple[Place, ...]
    resolved: Resolved | None
    differentiate: bool
    half: bool = False

    def logits(self) -> Place | None:
        """Where the score is read when it is read before the head's activation."""
        if self.resolved is None or not self.resolved.uses_logits or self.resolved.head is None:
            return None
        head = self.resolved.head
        return Place(head.call, "input" if head.is_softmax_layer else "before activation")

    def key(self) -> tuple:
        """Equal for looks that one compiled function serves."""
        return self.places, self.resolved and self.resolved.key(), self.differentiate, self.half

    def places_wanted(self) -> tuple[Place, ...]:
        """The places and the logits, each once."""
        logits = self.logits()
        return tuple(dict.fromkeys((*self.places, logits))) if logits else self.places


@dataclass(frozen=True, eq=False)
class Compiled:
    """What runs a look; traced, it no longer touches the model's Python objects, so that other threads may."""

    run: engine.Run
    is_traced: bool


def first_run(
    subject: Subject, trace: Trace, look: Look, arguments: Any, *, fixed: bool = False
) -> tuple[Compiled, Any]:
    """Compile the look for arguments like these, and run it once: what to run from now on, and the first result.

    With `fixed` the weights count as constants of their values now.

    Raises:
        TapUnreachableError: a place lies where no tap reaches; names the layer and why.
    """
    _check(trace, look)
    variables, differentiate = subject.model.variables, look.differentiate
    function = _tapped_function(subject, trace, look, copies=False)
    try:
        run = engine.compile_tapped(function, variables, arguments, differentiate=differentiate, fixed=fixed)
        return Compiled(run, engine.needs_fixed_shapes()), run(arguments)
    except engine.leak_errors() as error:
        return _untraced(subject, trace, look, arguments, error)
    except _OverwrittenError:
        function = _tapped_function(subject, trace, look, copies=True)
        run = engine.compile_tapped(function, variables, arguments, differentiate=differentiate, fixed=fixed)
        return Compiled(run, engine.needs_fixed_shapes()), run(arguments)


class _OverwrittenError(Exception):
    """A tensor that was noted has been written in place afterwards."""


def _check(trace: Trace, look: Look) -> None:
    for place in look.places if look.differentiate else ():
        call = trace.calls.get(place.call)
        dtypes = call.dtypes if call and place.side == "output" else ()
        if place.part < len(dtypes) and "float" not in dtypes[place.part]:
            raise TapUnreachableError(
                f"layer {place.call!r} gives {dtypes[place.part]}, which has no gradient; choose a layer before it"
            )


def _untraced(subject: Subject, trace: Trace, look: Look, arguments: Any, error: Exception) -> tuple[Compiled, Any]:
    """Run without tracing where the back end can; else say which layer no tap reaches."""
    variables = subject.model.variables
    function = _tapped_function(subject, trace, look, copies=False)
    run = engine.run_eagerly(function, variables, differentiate=look.differentiate)
    if run is not None:
        return Compiled(run, is_traced=False), run(arguments)
    for place in look.places:
        alone = _tapped_function(subject, trace, Look((place,), None, False), copies=False)
        try:
            engine.compile_tapped(alone, variables, (arguments[0], ()), differentiate=False)((arguments[0], ()))
        except engine.leak_errors():
            raise _unreachable(place) from error
    raise error


def _unreachable(place: Place) -> TapUnreachableError:
    return TapUnreachableError(
        f"layer {place.call!r} runs inside a loop, a condition or a recomputed block of its parent, where no tap "
        "reaches on this back end; choose the enclosing layer, or run on PyTorch"
    )


def _tapped_function(subject: Subject, trace: Trace, look: Look, *, copies: bool) -> engine.Tapped:
    keras = load_keras()
    variables = subject.model.variables
    wanted, logits = look.places_wanted(), look.logits()
    changes = subject.changes([trace.calls[p.call].path for p in wanted if p.call != MODEL_INPUT])

    def function(tap: engine.Tap, values: list[Any], arguments: Any) -> tuple[Any, Any]:
        inputs, aim = arguments
        wiring = Wiring(wanted, trace.calls, look.places if look.differentiate else (), copies=copies)
        with (
            overridden(changes),
            wiring.attached(tap),
            subject.frozen_state(variables, values),
        ):
            outputs = subject.run(_tapped_inputs(wiring, inputs))
        if engine.was_overwritten(wiring.versions):
            raise _OverwrittenError
        flat = tensors_in(outputs)
        found = [_stacked(p, wiring, trace) for p in look.places]
        seen = {"outputs": flat, "values": [_halved(v) for v in found] if look.half else found}
        if look.resolved is None:
            return None, seen
        logit = wiring.values[logits][0] if logits else None
        scores, chosen = look.resolved.score(outputs, flat, logit, aim)
        return keras.ops.sum(scores), {**seen, "scores": scores, "chosen": chosen}

    return function


def _tapped_inputs(wiring: Wiring, inputs: Any) -> Any:
    keras = load_keras()
    flat = [wiring.model_input(i, t) for i, t in enumerate(keras.tree.flatten(inputs))]
    return keras.tree.pack_sequence_as(inputs, flat)


def _stacked(place: Place, wiring: Wiring, trace: Trace) -> Any:
    found = wiring.values[place]
    steps = 1 if place.call == MODEL_INPUT else trace.calls[place.call].steps
    if not found and place.call != MODEL_INPUT:
        sides = {"input": trace.calls[place.call].input_shapes, "output": trace.calls[place.call].output_shapes}
        count = len(sides.get(place.side, (None,)))
        if place.part >= count:
            raise TapUnreachableError(f"layer {place.call!r} has {count} {place.side} tensors, got number {place.part}")
    if len(found) != steps:
        raise _unreachable(place)
    return found[0] if steps == 1 else load_keras().ops.stack(found, axis=1)


def _halved(tensor: Any) -> Any:
    ops = load_keras().ops
    return ops.cast(tensor, "float16")


def hand_over(seen: dict[str, Any], found: dict[str, Any], n: int, size: int, look: Look, trace: Trace) -> Seen:
    """The tensors of one run as arrays of the n real samples among `size`.

    Raises:
        TapUnreachableError: the score does not depend on one of the places.
    """

    def rows(tensor: Any) -> np.ndarray:
        array = to_numpy(tensor)
        return array[:n] if n < size and array.ndim and len(array) == size else array

    gradients = {}
    for place in look.places if look.differentiate else ():
        steps = 1 if place.call == MODEL_INPUT else trace.calls[place.call].steps
        keys = [place.key(i) for i in range(steps)]
        if not any(k in found for k in keys):
            raise TapUnreachableError(
                f"the target's score does not depend on layer {place.call!r} ({place.side}), or a step without "
                "gradient lies between; choose a layer on the way to that output"
            )
        pieces = [rows(found[k]) if k in found else None for k in keys]
        like = next(p for p in pieces if p is not None)
        whole = [np.zeros_like(like) if p is None else p for p in pieces]  # these steps do not reach the score
        gradients[place] = whole[0] if steps == 1 else np.stack(whole, axis=1)
    return Seen(
        tuple(rows(t) for t in seen["outputs"]),
        {p: rows(t) for p, t in zip(look.places, seen["values"])},
        gradients,
        rows(seen["scores"]) if "scores" in seen else None,
        rows(seen["chosen"]) if "chosen" in seen else None,
        look.resolved,
    )
