"""Receptive fields as records: for a layer as a whole, for one of its values, for all layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from convscope.errors import ModelError
from convscope.records.field import AxisField, FieldTable, ReceptiveField
from convscope.scope.field.propagate import Fields
from convscope.scope.field.track import Track
from convscope.scope.graph import Call


def field_of(
    fields: Fields, path: str, *, at: Sequence[int] | None = None, channel: int | None = None, source: str | None = None
) -> ReceptiveField:
    """The field of one call, as a whole or of one of its values.

    Args:
        fields: what `propagate` returned.
        path: the call.
        at: place of a value in the layer's own array, without batch and channel; None for the layer as a whole.
        channel: its channel, where channels differ (after a concatenation along space); None for all of them.
        source: which input of the model; None for the first that the call depends on.

    Raises:
        UnknownLayerError: no such call or input.
        ModelError: a place outside the layer, or a call that depends on no picture axis of the input.
    """
    call = fields.graph.find(path)
    state = fields.states[call.index][0]
    start = _input(fields, call, source)
    tracks = {axis: t for (index, axis), t in state.items() if index == start.index}
    axes = tuple(axis_field(axis, tracks[axis], start.output_shape[axis]) for axis in sorted(tracks))
    size = tuple(start.output_shape[axis] for axis in sorted(tracks))
    result = ReceptiveField(call.path, start.path, axes, size, notes=_notes(fields, call))
    if at is None:
        return result
    place = _place(call, at, channel)
    return replace(result, at=tuple(at), box=tuple(_extent(tracks[axis], place) for axis in sorted(tracks)))


def all_fields(fields: Fields) -> FieldTable:
    """The field of every call that depends on a picture, for the first input that it depends on."""
    rows = [field_of(fields, c.path) for c in fields.graph.calls if fields.states[c.index][0]]
    return FieldTable(tuple(rows))


def axis_field(axis: int, track: Track, size: int) -> AxisField:
    """What a track says of the layer as a whole."""
    if track.is_whole:
        extent = int(track.high.max() - track.low.min() + 1)
        return AxisField(
            axis, min(extent, size), None, int(track.low.min()), is_whole=True, is_aligned=track.is_aligned
        )
    pattern = track.pattern
    if pattern is None:
        return AxisField(axis, None, None, None, is_aligned=track.is_aligned)
    first = pattern.spans[0]
    offset = None if first is None else first.start
    return AxisField(axis, pattern.size, pattern.stride, offset, False, pattern.is_dense, track.is_aligned)


def _input(fields: Fields, call: Call, source: str | None) -> Call:
    if source is not None:
        found = fields.graph.find(source)
        if not any(index == found.index for index, _ in fields.states[call.index][0]):
            raise ModelError(f"expected an input that {call.path} depends on, got {source!r}")
        return found
    if not fields.states[call.index][0]:
        raise ModelError(f"expected a call that depends on an input with spatial axes, got {call.path}")
    return fields.graph.calls[min(index for index, _ in fields.states[call.index][0])]


def _notes(fields: Fields, call: Call) -> tuple[str, ...]:
    """The notes of the call and of all calls before it that it depends on."""
    wanted, reached = [call.index], set()
    while wanted:
        index = wanted.pop()
        if index not in reached:
            reached.add(index)
            wanted.extend(s.call for s in fields.graph.calls[index].inputs)
    return tuple(note for index in sorted(reached) for note in fields.notes[index])


def _place(call: Call, at: Sequence[int], channel: int | None) -> tuple[int | None, ...]:
    """An index into the layer's array without batch; None where all channels are meant."""
    shape = call.output_shape
    spatial = shape[1:] if call.channel_axis == 0 and len(shape) > 1 else shape[:-1]
    if len(at) != len(spatial) or any(not 0 <= a < n for a, n in zip(at, spatial)):
        raise ModelError(f"expected a place inside {spatial} of {call.path}, got {tuple(at)}")
    channels = shape[0] if call.channel_axis == 0 and len(shape) > 1 else shape[-1]
    if channel is not None and not 0 <= channel < channels:
        raise ModelError(f"expected a channel of {call.path} from 0 to {channels - 1}, got {channel}")
    return (channel, *at) if call.channel_axis == 0 and len(shape) > 1 else (*at, channel)


def _extent(track: Track, place: tuple[int | None, ...]) -> tuple[int, int]:
    def cut(table: np.ndarray) -> np.ndarray:
        return table[tuple(slice(None) if p is None or n == 1 else p for p, n in zip(place, table.shape))]

    return int(cut(track.low).min()), int(cut(track.high).max())
