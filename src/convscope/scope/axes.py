"""Which axes of a call's arrays are spatial, and the settings of a layer per spatial axis."""

from __future__ import annotations

from typing import Any

from convscope.scope.graph import Call


def spatial_axes(call: Call) -> tuple[int, ...]:
    """The spatial axes of the call's first input, without the batch axis."""
    rank = len(call.input_shapes[0])
    return tuple(range(1, rank)) if call.channel_axis == 0 else tuple(range(rank - 1))


def channel_axis_in(call: Call) -> int:
    """The channel axis of the call's first input, counted from 0 without the batch axis."""
    rank = len(call.input_shapes[0])
    own = getattr(call.operation, "data_format", None)
    first = own == "channels_first" if own is not None else call.channel_axis == 0
    return 0 if first and rank > 1 else rank - 1


def per_axis(setting: Any, count: int) -> tuple[int, ...]:
    """A setting of a layer for each spatial axis; one number stands for all."""
    return (int(setting),) * count if isinstance(setting, int) else tuple(int(s) for s in setting)


def pairs(setting: Any, count: int) -> tuple[tuple[int, int], ...]:
    """A padding or cropping as (before, after) for each spatial axis."""
    if isinstance(setting, int):
        return ((setting, setting),) * count
    if count == 1 and all(isinstance(s, int) for s in setting):
        return ((int(setting[0]), int(setting[1])),)
    return tuple((s, s) if isinstance(s, int) else (int(s[0]), int(s[1])) for s in setting)


def normalised_axes(setting: Any, rank: int) -> tuple[int, ...]:
    """An `axis` setting, which counts the batch axis, as axes of the array without it."""
    axes = (setting,) if isinstance(setting, int) else tuple(setting)
    return tuple(sorted((a - 1) if a >= 0 else a + rank for a in axes))
