"""Fields and arithmetic through a Probe: which tensors to read, and what to hand to the rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from math import prod
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from convscope.backend.gradients import version
from convscope.backend.selection import backend_name, load_keras
from convscope.backend.tensors import compiled, to_numpy
from convscope.errors import ModelError, UnknownLayerError
from convscope.records.arithmetic import Arithmetic
from convscope.records.field import EffectiveField, ReceptiveField
from convscope.records.provenance import Provenance
from convscope.scope.arithmetic.given import Given
from convscope.scope.arithmetic.work import arithmetic, channels_last, needed, place_of, work_out
from convscope.scope.batches import checked_inputs
from convscope.scope.calls import MODEL_INPUT
from convscope.scope.calls import Call as ProbeCall
from convscope.scope.field.effective import effective_field
from convscope.scope.field.propagate import Fields, propagate
from convscope.scope.field.report import field_of
from convscope.scope.graph import Call, Graph, Source, graph_of
from convscope.scope.opening import kind_of
from convscope.scope.running import run
from convscope.scope.tap import Place, Probe

_GRAPHS: WeakKeyDictionary[Probe, dict[Any, Graph]] = WeakKeyDictionary()
_FIELDS: WeakKeyDictionary[Graph, Fields] = WeakKeyDictionary()
_KEPT: WeakKeyDictionary[Probe, _Kept] = WeakKeyDictionary()
_READERS: WeakKeyDictionary[Probe, Callable[[], list[Any]]] = WeakKeyDictionary()
# the most that is kept of one picture's values
KEEP_BYTES = 256 * 2**20


def graph_for(probe: Probe, images: Any = None) -> Graph:
    """The calls of the probe's model on inputs of the pictures' size, kept for the next question.

    Raises:
        ModelError: no pictures, and the model does not say its own input size.
    """
    keras = load_keras()
    shapes = None
    if images is not None:
        shapes = keras.tree.map_structure(lambda x: tuple(np.shape(x))[1:], images)
    key = repr(shapes)
    kept = _GRAPHS.setdefault(probe, {})
    if key not in kept:
        kept[key] = graph_of(probe.model, shapes)
    return kept[key]


def fields_for(graph: Graph) -> Fields:
    """The receptive fields of a graph, kept for the next question."""
    if graph not in _FIELDS:
        _FIELDS[graph] = propagate(graph)
    return _FIELDS[graph]


def receptive_field(
    probe: Probe, layer: str, *, at: Sequence[int] | None = None, channel: int | None = None, images: Any = None
) -> ReceptiveField:
    """The exact field of a layer, or of one of its values.

    Args:
        probe: looks into the model.
        layer: path of the call.
        at: place of a value; None for the layer as a whole.
        channel: its channel, where channels differ.
        images: pictures that say the input size, where the model does not.

    Raises:
        UnknownLayerError: no such call. ModelError: the input size is not known, or a place outside the layer.
    """
    return field_of(fields_for(graph_for(probe, images)), layer, at=at, channel=channel)


def effective_receptive_field(
    probe: Probe, images: Any, layer: str, *, at: Sequence[int] | None = None, channel: int | None = None
) -> EffectiveField:
    """How much each pixel of these pictures really moves a value; see `effective_field`."""
    given = checked_inputs(probe.model, images)
    graph = graph_for(probe, given.structure)
    return effective_field(graph, layer, load_keras().tree.flatten(given.structure), at=at, channel=channel)


def value_by_hand(
    probe: Probe,
    images: Any,
    layer: str,
    *,
    at: Sequence[int] = (),
    channel: int | None = None,
    provenance: Provenance | None = None,
) -> Arithmetic:
    """Work out one value of one layer for the first of `images`, and compare it with what the back end computed.

    Args:
        probe: looks into the model.
        images: arrays (n, ...) as the model takes them.
        layer: path of the call ("block2/conv1", "conv#1").
        at: place of the value; () for a dense layer.
        channel: which channel or unit; may be left out where there is one.
        provenance: copied into the result.

    Raises:
        UnknownLayerError: no such call.
        ModelError: a place outside the layer, or a kind of layer without arithmetic.
    """
    given = checked_inputs(probe.model, images).take(0, 1, 1)
    flat = [np.asarray(x) for x in load_keras().tree.flatten(given)]
    graph = graph_for(probe, given)
    try:
        call = graph.find(layer)
    except UnknownLayerError:
        done = _closed(probe, given, probe.call(layer, given), at=at, channel=channel)
    else:
        values = _values(probe, graph, call, given, flat)
        kind = _dtype(probe, call.output_dtypes[0])
        done = arithmetic(graph, values, call.path, at=at, channel=_channel(call, channel), dtype=kind)
    return replace(done, provenance=provenance or done.provenance)


def _dtype(probe: Probe, own: str) -> str:
    return "float32" if probe.precision == "float32" and own in ("float16", "bfloat16") else own


def _channel(call: Call, channel: int | None) -> int:
    shape = call.output_shape
    count = shape[0 if call.channel_axis == 0 and len(shape) > 1 else -1]
    if channel is None and count != 1:
        raise ModelError(f"expected channel= from 0 to {count - 1} for {call.path}")
    return channel or 0


def _values(probe: Probe, graph: Graph, call: Call, given: Any, flat: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Values of the calls that the arithmetic needs, without batch.

    The first question about a picture reads all calls at once and keeps them, so that every factor can be followed
    back without another run; a network too large for that is read call by call.
    """
    names = {c.name for c in probe.calls(given) if c.steps == 1}
    reached = [c for c in graph.calls if c.path in names]
    wanted = [graph.find(path) for path in needed(graph, call.path)]
    large = sum(4 * prod(n or 1 for n in c.output_shape) for c in reached) > KEEP_BYTES
    state = None if large else _state(probe, flat)
    kept = _KEPT.get(probe)
    if kept is None or state is None or kept.state != state or kept.graph is not graph:
        loose = any(c.kind != "InputLayer" and c.path not in names for c in wanted)
        tapped = [c for c in reached if not large or c in wanted or loose]
        seen = probe.see(given, tuple(Place(c.path) for c in tapped)) if tapped else None
        arrays = {c.index: x for c, x in zip(graph.inputs, flat, strict=True)}
        arrays |= {c.index: seen.values[Place(c.path)] for c in tapped} if seen else {}
        kept = _Kept(graph, state, arrays)
    if not large:
        _KEPT[probe] = kept
    for missing in (c for c in wanted if c.index not in kept.arrays):
        # made while a custom layer ran: no tap reaches it, so that one operation is run again
        known = {i: [load_keras().ops.convert_to_tensor(x)] for i, x in kept.arrays.items()}
        kept.arrays[missing.index] = to_numpy(run(graph, missing.index, known)[0])
    return {c.path: kept.arrays[c.index][0] for c in wanted}


def _state(probe: Probe, flat: list[np.ndarray]) -> tuple[Any, ...]:
    """Equal as long as the pictures and all weights are: values kept for one state are never shown for another."""
    pictures = tuple(sha256(x.tobytes()).hexdigest() for x in flat)
    if backend_name() != "tensorflow":
        return (pictures, *(_mark_of_object(v.value) for v in probe.model.variables))
    if probe not in _READERS:  # one call for all: reading hundreds of variables one by one takes longer than the sums
        variables = [v.value for v in probe.model.variables]
        _READERS[probe] = compiled(lambda: [v.value() for v in variables])
    return (pictures, *map(_mark_of_place, _READERS[probe]()))


def _mark_of_object(tensor: Any) -> Any:
    """Changes when a weight does: the object and its count of writes."""
    return _Same(tensor, version(tensor))


def _mark_of_place(read: Any) -> Any:
    """Changes when a weight of TensorFlow, just read, does: the place of its values."""
    try:
        # TensorFlow never writes into values that somebody else holds: a changed weight lies in another place
        place = np.asarray(memoryview(read)).__array_interface__["data"][0]
    except (TypeError, ValueError, BufferError):  # bfloat16 has no buffer
        octets = np.ascontiguousarray(to_numpy(read)).reshape(-1).view(np.uint8)
        return sha256(octets.tobytes()).hexdigest()
    return _Placed(read, place)


@dataclass(frozen=True, eq=False)
class _Placed:
    """Equal to another whose values lie in the same place; holds them, so that nothing is written there."""

    tensor: Any
    place: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Placed) and other.place == self.place and other.tensor.shape == self.tensor.shape

    def __hash__(self) -> int:
        return hash(self.place)


@dataclass(frozen=True, eq=False)
class _Same:
    """Equal to another when it is the same object, written equally often; holds it, so that its place is not reused."""

    tensor: Any
    writes: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.tensor is self.tensor and other.writes == self.writes

    def __hash__(self) -> int:
        return hash((id(self.tensor), self.writes))


@dataclass(frozen=True, eq=False)
class _Kept:
    """Values of the calls for the latest picture, with the batch axis, by the call's index."""

    graph: Graph
    state: tuple[Any, ...] | None
    arrays: dict[int, np.ndarray]


def _closed(probe: Probe, given: Any, call: ProbeCall, *, at: Sequence[int], channel: int | None) -> Arithmetic:
    """A layer inside something that can't be opened: its inputs and output are read where it is called."""
    if call.steps > 1:
        raise ModelError(
            f"{call.name} runs {call.steps} times; ask for the wrapper around it, with the step first in at"
        )
    here = Call(
        index=len(call.input_shapes),
        path=call.name,
        kind=call.kind,
        family=kind_of(call.layer),
        operation=call.layer,
        inputs=tuple(Source(i) for i in range(len(call.input_shapes))),
        arguments=tuple(Source(i) for i in range(len(call.input_shapes))),
        keywords={},
        input_shapes=call.input_shapes,
        output_shapes=call.output_shapes,
        output_dtypes=call.dtypes,
        channel_axis=0 if call.channel_axis == 0 else -1,
    )
    sides = tuple(Place(call.name, "input", i) for i in range(len(call.input_shapes)))
    seen = probe.see(given, (*sides, Place(call.name)))
    output = channels_last(seen.values[Place(call.name)][0], here.channel_axis)
    inputs = tuple(channels_last(seen.values[side][0], here.channel_axis) for side in sides)
    index = place_of(here, output.shape, at, _channel(here, channel))
    firsts = (here.channel_axis == 0,) * len(inputs)
    names = [parent or MODEL_INPUT for parent in call.parents] or [MODEL_INPUT]
    return work_out(Given(here, inputs, _dtype(probe, call.dtypes[0]), index, firsts), output, names)
