"""The effective receptive field: how much each pixel really moves a value, measured over pictures.

Source: Luo et al. 2016, "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convscope.errors import ModelError
from convscope.records.field import EffectiveField
from convscope.scope.graph import Graph
from convscope.scope.running import input_gradient

SHARE = 0.95


def effective_field(
    graph: Graph,
    path: str,
    pictures: Sequence[np.ndarray],
    *,
    at: Sequence[int] | None = None,
    channel: int | None = None,
) -> EffectiveField:
    """Mean absolute gradient of one value by each pixel of the first input, over pictures and channels.

    Args:
        graph: the calls of the model.
        path: the call.
        pictures: one array (n, ...) for each input of the model.
        at: place of the value; None for the middle one.
        channel: its channel; None for the sum of all.

    Raises:
        UnknownLayerError: no such call.
        ModelError: the value does not move with any pixel of these pictures.
    """
    call = graph.find(path)
    shape = call.output_shape
    first = call.channel_axis == 0 and len(shape) > 1
    spatial = shape[1:] if first else shape[:-1]
    place = tuple(n // 2 for n in spatial) if at is None else tuple(at)
    mask = np.zeros((1, *shape), np.float32)
    chosen = slice(None) if channel is None else channel
    mask[(0, chosen, *place) if first else (0, *place, chosen)] = 1.0
    gradient = input_gradient(graph, call, pictures, mask)[0]
    if gradient is None or not np.any(gradient):
        raise ModelError(f"expected {path} at {place} to move with some pixel, but its gradient is zero everywhere")
    axis = 1 if graph.inputs[0].channel_axis == 0 else -1
    heat = np.abs(gradient).astype(np.float64).sum(axis=axis).mean(axis=0)
    heat = heat / heat.sum()
    return EffectiveField(
        call.path, graph.inputs[0].path, place, channel, heat.astype(np.float32), smallest_box(heat), SHARE
    )


def smallest_box(heat: np.ndarray, share: float = SHARE) -> tuple[tuple[int, int], ...]:
    """First and last place per axis of a small box that holds `share` of the heat.

    From the whole array the border slice with the least heat is cut, again and again, while enough is left.
    """
    low, high = [0] * heat.ndim, list(heat.shape)
    left, enough = float(heat.sum()), share * float(heat.sum())
    while True:
        inside = heat[tuple(slice(a, b) for a, b in zip(low, high))]
        cuts = [
            (float(np.take(inside, -side, axis=axis).sum()), axis, side)
            for axis in range(heat.ndim)
            for side in (0, 1)
            if high[axis] - low[axis] > 1
        ]
        if not cuts:
            break
        least, axis, side = min(cuts)
        if left - least < enough:
            break
        left -= least
        low[axis], high[axis] = (low[axis], high[axis] - 1) if side else (low[axis] + 1, high[axis])
    return tuple((a, b - 1) for a, b in zip(low, high))
