"""Works out one value of a layer call by hand and sets it beside what the back end computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import ml_dtypes
import numpy as np

from convscope.errors import ModelError
from convscope.records.arithmetic import Arithmetic, Step
from convscope.registry import nearest
from convscope.scope.arithmetic import activations, merging, moving, normalising, pooling, sliding
from convscope.scope.arithmetic.given import RULES, SINGLES, SIXTEEN_BIT, Given, Index, Worked
from convscope.scope.graph import Call, Graph

# importing them registers their rules
RULE_MODULES = (activations, merging, moving, normalising, pooling, sliding)
FLOAT32_SHARE = 1e-6


def needed(graph: Graph, path: str) -> tuple[str, ...]:
    """Paths of the calls whose values `arithmetic` needs: what the call takes, the call, and what follows it."""
    call = graph.find(path)
    takes = [graph.calls[s.call] for s in call.inputs]
    return tuple(dict.fromkeys(c.path for c in (*takes, call, *followers(graph, call))))


def followers(graph: Graph, call: Call) -> tuple[Call, ...]:
    """The calls after `call` that treat each of its values alone, one after another (batch norm, activation)."""
    found: list[Call] = []
    here = call
    while True:
        users = graph.consumers(here)
        if len(users) != 1 or users[0].family not in SINGLES or len(users[0].inputs) != 1:
            return tuple(found)
        here = users[0]
        found.append(here)


def arithmetic(
    graph: Graph,
    values: Mapping[str, np.ndarray],
    path: str,
    *,
    at: Sequence[int],
    channel: int,
    dtype: str | None = None,
) -> Arithmetic:
    """Work out one value of one call.

    Args:
        graph: the calls of the model.
        values: outputs by path for one picture, without the batch axis, in the model's own axis order; at least those
            that `needed` names (following calls may be missing: they are then worked out without comparison).
        path: the call.
        at: place of the value, without channel; () for a dense layer.
        channel: which channel or unit.
        dtype: the type in which the back end computed; None for the call's own.

    Raises:
        UnknownLayerError: no such call.
        ModelError: a place outside the layer, or a kind of layer that has no arithmetic here.
    """
    call = graph.find(path)
    takes = tuple(graph.calls[s.call] for s in call.inputs)
    missing = [c.path for c in (*takes, call) if c.path not in values]
    if missing:
        raise ModelError(f"expected the values of {', '.join(missing)} to work out {path}; see needed()")
    kind = dtype or call.output_dtypes[0]
    inputs = tuple(as_used(channels_last(values[c.path], c.channel_axis), kind) for c in takes)
    output = channels_last(values[call.path], call.channel_axis)
    firsts = tuple(c.channel_axis == 0 for c in takes)
    given = Given(call, inputs, kind, place_of(call, output.shape, at, channel), firsts)
    done = work_out(given, output, tuple(c.path for c in takes))
    return replace(done, following=_following(graph, call, values, given, done))


def work_out(given: Given, output: np.ndarray, sources: Sequence[str]) -> Arithmetic:
    """Work out one value from a call's inputs and output.

    Args:
        given: the call with its inputs (float64, channels last).
        output: what the back end computed, channels last.
        sources: paths of the calls that made the inputs.

    Raises:
        ModelError: a kind of layer that has no arithmetic here.
    """
    call = given.call
    found = RULES.get(call.family or "")
    if found is None:
        raise ModelError(f"no arithmetic for {call.kind} at {call.path}; {_reason(call)}")
    worked = found(given)
    shown = worked.steps[-1].after if worked.steps else worked.total
    magnitude = worked.steps[-1].magnitude if worked.steps else worked.magnitude
    return Arithmetic(
        layer=call.path,
        kind=call.kind,
        at=given.at,
        channel=given.channel,
        operation=worked.operation,
        axes=worked.axes,
        patch=worked.factors.patch,
        kernel=worked.kernel,
        places=worked.places,
        products=_products(worked),
        is_padding=worked.factors.is_padding,
        sources=tuple(sources),
        source=worked.factors.source,
        positions=worked.factors.positions,
        partial_sums=worked.partial_sums,
        bias=worked.bias,
        total=worked.total,
        steps=worked.steps,
        following=(),
        shown=shown,
        computed=float(output[given.index]),
        bound=bound(magnitude, given.dtype),
        dtype=given.dtype,
        facts=worked.facts,
    )


# kinds whose one value is no single sum; why, and what to ask instead
REASONS = {
    "EinsumDense": "its equation can join any axes; ask for the Dense layers beside it, or read both sides as maps",
    "MultiHeadAttention": "softmax of products of all places with all places; ask for the layers before or after it",
    "GroupedQueryAttention": "softmax of products of all places with all places; ask for the layers before or after it",
    "Attention": "softmax of products of all places with all places; ask for the layers before or after it",
    "AdditiveAttention": "softmax of products of all places with all places; ask for the layers before or after it",
    "LSTM": "a loop over time with gates: each step takes the one before; ask for the layers before or after it",
    "GRU": "a loop over time with gates: each step takes the one before; ask for the layers before or after it",
    "SimpleRNN": "a loop over time: each step takes the one before; ask for the layers before or after it",
    "Embedding": "it looks a row of its table up and computes nothing",
}


def _reason(call: Call) -> str:
    if not call.family:
        return "its call is not one of Keras' own"
    return REASONS.get(call.kind) or nearest(call.kind, [f.split(".")[1] for f in RULES])


def _products(worked: Worked) -> np.ndarray:
    if worked.kernel is None:
        return worked.factors.patch
    return np.where(worked.factors.is_padding, 0.0, worked.factors.patch * worked.kernel)


def bound(magnitude: float, dtype: str) -> float:
    """How far the back end may be from the exact sum: 1e-6 of `magnitude` in float32, 2 eps of it in 16-bit types."""
    if dtype in ("float16", "bfloat16"):
        eps = float(ml_dtypes.finfo(dtype).eps)
        # the smallest step of float16 matters for numbers near zero
        return 2 * eps * magnitude + float(ml_dtypes.finfo(dtype).smallest_subnormal)
    return (1e-14 if dtype == "float64" else FLOAT32_SHARE) * magnitude


def as_used(array: np.ndarray, dtype: str) -> np.ndarray:
    """Values rounded to a 16-bit type where the back end computes in it: a layer casts its inputs first."""
    return array.astype(SIXTEEN_BIT[dtype]).astype(np.float64) if dtype in SIXTEEN_BIT else array


def channels_last(array: np.ndarray, channel_axis: int) -> np.ndarray:
    """A float64 array without batch with its channels moved to the last axis."""
    wide = np.asarray(array, np.float64)
    return np.moveaxis(wide, 0, -1) if channel_axis == 0 and wide.ndim > 1 else wide


def place_of(call: Call, shape: tuple[int, ...], at: Sequence[int], channel: int) -> Index:
    """The index of a value in a channels-last array, checked."""
    index = (*(int(i) for i in at), int(channel))
    if len(index) != len(shape):
        raise ModelError(f"expected at with {len(shape) - 1} numbers for {call.path} of shape {shape}, got {tuple(at)}")
    if any(not 0 <= i < n for i, n in zip(index, shape)):
        raise ModelError(f"expected a value inside {shape} (channel last) of {call.path}, got {index}")
    return index


def _following(
    graph: Graph, call: Call, values: Mapping[str, np.ndarray], given: Given, done: Arithmetic
) -> tuple[Step, ...]:
    """The value through the calls that treat it alone, by hand from here on."""
    last = done.steps[-1] if done.steps else None
    value = done.shown
    magnitude = last.magnitude if last else done.bound / max(bound(1.0, given.dtype), 1e-300)
    steps: list[Step] = []
    for after in followers(graph, call):
        known = values.get(after.path)
        here = replace(given, call=after, inputs=(channels_last(values[call.path], call.channel_axis),))
        single = SINGLES[after.family or ""](here)
        if single is None:
            break
        seen = None if known is None else float(channels_last(known, after.channel_axis)[given.index])
        steps.append(replace(single(value, magnitude), layer=after.path, computed=seen))
        value, magnitude = steps[-1].after, steps[-1].magnitude
    return tuple(steps)
