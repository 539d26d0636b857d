"""What the network would say without some channels of one layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from convscope.actions.look import Scope
from convscope.errors import ModelError
from convscope.scope.editing import Edited
from convscope.scope.target import Target

MOST_CLASSES = 6


def without_channels(
    scope: Scope, inputs: np.ndarray, layer: str, channels: Sequence[int], target: Target
) -> dict[str, Any]:
    """Probabilities of the surest classes with the whole layer, and with some of its channels set to zero.

    Raises:
        ModelError: no such channel, or a layer that has none.
    """
    name = scope.probe.select(layer, inputs)[0]
    call = scope.probe.call(name, inputs)
    shape, axis = call.output_shapes[0], call.channel_axis
    if axis is None:
        raise ModelError(f"expected a layer with channels, got {name!r}; choose another one")
    if not channels or any(not 0 <= c < shape[axis] for c in channels):
        raise ModelError(f"expected channels of {name} from 0 to {shape[axis] - 1}, got {list(channels)}")
    whole = np.asarray(scope.probe.outputs(inputs)[0][0], np.float64).ravel()
    order = np.argsort(-whole, kind="stable")[:MOST_CLASSES]
    factors = np.ones((1, *[n if i == axis else 1 for i, n in enumerate(shape)]), np.float32)
    factors[(0, *[list(channels) if i == axis else 0 for i in range(len(shape))])] = 0
    edited, place = Edited(scope.probe.place(name)), scope.card
    classes = place.classes if place else ()
    rows = []
    for index in order:
        without = edited.scores(scope.probe, inputs, replace(target, label=int(index)), factors)
        label = classes[int(index)] if len(whole) == len(classes) else f"output {int(index)}"
        rows.append({"name": label, "whole": float(whole[index]), "without": float(without[0])})
    return {"layer": name, "channels": list(channels), "rows": rows}
