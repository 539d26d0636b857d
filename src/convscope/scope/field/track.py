"""How far back each value of a tensor sees along one axis of one input, clipped at the border, for every value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from convscope.scope.field.spans import Pattern, through, union
from convscope.scope.field.taps import Taps

NOTHING = 10**9


@dataclass(frozen=True, eq=False)
class Track:
    """The field of a tensor along one axis of one input.

    Attributes:
        low, high: first and last pixel per value (inclusive), of the tensor's rank without batch; an axis along which
            they do not change has length 1. low > high: the value depends on no pixel.
        carrier: the tensor's axis that runs along the input's axis, or None.
        pattern: what repeats before clipping; None when nothing does.
        is_whole: all values see the same, whole extent.
        is_aligned: False once branches with different strides met.
    """

    low: np.ndarray
    high: np.ndarray
    carrier: int | None
    pattern: Pattern | None
    is_whole: bool = False
    is_aligned: bool = True


# input (index of the call, axis) -> track
State = dict[tuple[int, int], Track]


def windowed(track: Track, taps: Mapping[int, Taps]) -> Track:
    """The track after a layer that reads `taps` along some axes."""
    low, high, pattern = track.low, track.high, track.pattern
    for axis, step in taps.items():
        if low.shape[axis] == 1 and step.size_in > 1:
            continue
        found, inside = step.table()
        safe = np.where(inside, found, 0)
        shape = [1] * (low.ndim + 1)
        shape[axis], shape[axis + 1] = found.shape
        kept = inside.reshape(shape)
        low = np.where(kept, np.take(low, safe, axis=axis), NOTHING).min(axis=axis + 1)
        high = np.where(kept, np.take(high, safe, axis=axis), -NOTHING).max(axis=axis + 1)
        if axis == track.carrier and pattern is not None:
            pattern = through(pattern, step)
    return replace(track, low=low, high=high, pattern=pattern)


def mixed(track: Track, axes: Sequence[int]) -> Track:
    """The track after a layer whose values depend on all positions along `axes`, which stay with length 1 here."""
    low, high = track.low, track.high
    for axis in axes:
        low, high = low.min(axis=axis, keepdims=True), high.max(axis=axis, keepdims=True)
    if track.carrier is None or track.carrier not in axes:
        return replace(track, low=low, high=high)
    return replace(track, low=low, high=high, carrier=None, pattern=None, is_whole=True)


def dropped(track: Track, axes: Sequence[int]) -> Track:
    """The track without axes of length 1."""
    kept = [a for a in range(track.low.ndim) if a not in axes]
    low = track.low.reshape([track.low.shape[a] for a in kept])
    high = track.high.reshape([track.high.shape[a] for a in kept])
    carrier = kept.index(track.carrier) if track.carrier in kept else None
    return replace(track, low=low, high=high, carrier=carrier)


def permuted(track: Track, order: Sequence[int]) -> Track:
    """The track with its axes in another order: new axis i is old axis order[i]."""
    carrier = None if track.carrier is None else list(order).index(track.carrier)
    return replace(track, low=track.low.transpose(order), high=track.high.transpose(order), carrier=carrier)


def reshaped(track: Track, shape_in: Sequence[int], shape_out: Sequence[int]) -> Track:
    """The track after the values were put into another shape, in the same order.

    Values keep their own fields; a pattern survives when the carrying axis does.
    """
    low, high = (_squeezed(np.broadcast_to(t, shape_in).reshape(shape_out)) for t in (track.low, track.high))
    low, high = (np.broadcast_to(t, np.broadcast_shapes(low.shape, high.shape)) for t in (low, high))
    if track.is_whole:
        return replace(track, low=low, high=high)
    carriers = [a for a in range(low.ndim) if low.shape[a] > 1]
    if len(carriers) == 1 and track.carrier is not None and shape_out[carriers[0]] == shape_in[track.carrier]:
        return replace(track, low=low, high=high, carrier=carriers[0])
    return replace(track, low=low, high=high, carrier=carriers[0] if carriers else None, pattern=None)


def _squeezed(table: np.ndarray) -> np.ndarray:
    """Axes along which nothing changes get length 1."""
    for axis in range(table.ndim):
        first = table.take([0], axis=axis)
        if table.shape[axis] > 1 and (table == first).all():
            table = first
    return table


def merged(tracks: Sequence[Track]) -> Track:
    """The union of several tensors' tracks, value by value."""
    result = tracks[0]
    for track in tracks[1:]:
        result = _both(result, track)
    return result


def _both(first: Track, second: Track) -> Track:
    low, high = np.minimum(first.low, second.low), np.maximum(first.high, second.high)
    aligned = first.is_aligned and second.is_aligned
    if first.is_whole or second.is_whole:
        return Track(low, high, None, None, True, aligned)
    carrier = first.carrier if first.carrier is not None else second.carrier
    if first.pattern is None or second.pattern is None or first.carrier != second.carrier:
        return Track(low, high, carrier, None, False, aligned)
    pattern = union(first.pattern, second.pattern)
    return Track(low, high, carrier, pattern, False, aligned and pattern is not None and pattern.is_aligned)


def joined_along(tracks: Sequence[Track], axis: int, sizes: Sequence[int]) -> Track:
    """The track of tensors put one after another along a spatial axis: each part keeps its own field."""
    same = all(np.array_equal(t.low, tracks[0].low) and np.array_equal(t.high, tracks[0].high) for t in tracks)
    if same and tracks[0].low.shape[axis] == 1:
        return merged(tracks)
    parts = []
    for side in ("low", "high"):
        tables = [getattr(t, side) for t in tracks]
        shape = list(np.broadcast_shapes(*[(*t.shape[:axis], 1, *t.shape[axis + 1 :]) for t in tables]))
        full = [np.broadcast_to(t, [n if a == axis else m for a, m in enumerate(shape)]) for t, n in zip(tables, sizes)]
        parts.append(np.concatenate(full, axis=axis))
    return Track(parts[0], parts[1], tracks[0].carrier, None, False, all(t.is_aligned for t in tracks))


def union_of(states: Sequence[State], ranks: Sequence[int]) -> State:
    """Merge states key by key, aligning axes from the right as broadcasting does."""
    most = max(ranks)
    found: dict[tuple[int, int], list[Track]] = {}
    for state, rank in zip(states, ranks, strict=True):
        for key, track in state.items():
            more = most - rank
            padded = replace(
                track,
                low=track.low.reshape((1,) * more + track.low.shape),
                high=track.high.reshape((1,) * more + track.high.shape),
                carrier=None if track.carrier is None else track.carrier + more,
            )
            found.setdefault(key, []).append(padded)
    return {key: merged(tracks) for key, tracks in found.items()}
