"""Receptive fields of all calls of a graph in one pass, exact for every value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from convscope.scope.field.rules import RULES, each, everything, rule
from convscope.scope.field.spans import identity
from convscope.scope.field.track import State, Track
from convscope.scope.graph import Call, Graph, graph_of


@dataclass(frozen=True, eq=False)
class Fields:
    """The field state of every call's outputs, and what was noticed on the way.

    Attributes:
        states: per call one State for each output.
        notes: per call what a reader must know, its own only.
    """

    graph: Graph
    states: tuple[tuple[State, ...], ...]
    notes: tuple[tuple[str, ...], ...]


def propagate(graph: Graph, starts: Sequence[State] | None = None) -> Fields:
    """Follow the fields through all calls.

    Args:
        graph: the calls of a model.
        starts: the state of each input of the graph; None when these are the inputs of the model itself.
    """
    states: list[tuple[State, ...]] = []
    notes: list[tuple[str, ...]] = []
    begun = 0
    for call in graph.calls:
        if call.kind == "InputLayer":
            states.append((_start(call) if starts is None else starts[begun],))
            notes.append(())
            begun += 1
            continue
        taken = [states[s.call][s.output] for s in call.inputs]
        found = RULES.get(call.family or "")
        result = everything(call, taken) if found is None else found(call, taken)
        several = [result] * len(call.output_shapes)
        states.append(tuple(several))
        notes.append(_noticed(call, taken, several, known=found is not None))
    return Fields(graph, tuple(states), tuple(notes))


def _start(call: Call) -> State:
    """Each value of an input is its own pixel, along each spatial axis."""
    shape = call.output_shape
    spatial = range(1, len(shape)) if call.channel_axis == 0 else range(len(shape) - 1)
    state: State = {}
    for axis in spatial:
        table = np.arange(shape[axis]).reshape([-1 if a == axis else 1 for a in range(len(shape))])
        state[call.index, axis] = Track(table, table, axis, identity())
    return state


def _noticed(call: Call, before: Sequence[State], after: Sequence[State], *, known: bool) -> tuple[str, ...]:
    notes = []
    if not known:
        notes.append(f"{call.kind} at {call.path} has no rule: taken as reading the whole picture")
    fine = all(t.is_aligned for state in before for t in state.values())
    broken = [t for state in after for t in state.values() if not t.is_aligned]
    if fine and broken:
        what = "strides" if any(t.pattern is None and not t.is_whole for t in broken) else "centres"
        notes.append(f"branches with different {what} meet at {call.path}")
    return tuple(notes)


@rule("layers.TimeDistributed")
def _per_step(call: Call, states: Sequence[State]) -> State:
    """The layer or model inside, at each step of the first axis on its own."""
    moved = {key: t for key, t in states[0].items() if t.low.shape[0] == t.high.shape[0] == 1}
    steps = {key: t for key, t in states[0].items() if key not in moved}
    if any(n > 1 for t in steps.values() for n in (*t.low.shape[1:], *t.high.shape[1:])):
        return everything(call, states)
    inner = graph_of(call.operation.layer, call.input_shapes[0][1:])
    found = propagate(inner, [each(moved, _without_first)])
    last = inner.outputs[0]
    result = each(found.states[last.call][last.output], _with_first)
    shape = (-1, *(1,) * (len(call.output_shape) - 1))
    return {**result, **{k: replace(t, low=t.low.reshape(shape), high=t.high.reshape(shape)) for k, t in steps.items()}}


def _without_first(track: Track) -> Track:
    carrier = None if track.carrier is None else track.carrier - 1
    return replace(track, low=track.low[0], high=track.high[0], carrier=carrier)


def _with_first(track: Track) -> Track:
    carrier = None if track.carrier is None else track.carrier + 1
    return replace(track, low=track.low[None], high=track.high[None], carrier=carrier)
