"""Where a neck takes its maps from a backbone: the last whole layer at strides 8, 16 and 32, whatever the backbone.

A whole layer is one that everything passes through: no branch goes around it. The end of a residual block is one, a
convolution inside it is not.
"""

from __future__ import annotations

import math
from typing import Any

from convscope.backend.selection import load_keras
from convscope.errors import ModelError
from convscope.models.parts import POOLED

keras = load_keras()

STRIDES = (8, 16, 32)
# these change the size of a map for the next layer's sake; what they give is no feature map of its own
_NOT_TAPPED = ("ZeroPadding2D", "Cropping2D", "InputLayer", "Dropout")


def _octave(frame_hw: tuple[int, int], map_hw: tuple[int, int]) -> int:
    """Stride as a power of two, rounded: valid padding makes maps a little smaller."""
    return round(math.log2(math.sqrt(frame_hw[0] * frame_hw[1] / (map_hw[0] * map_hw[1]))))


def find_taps(
    model: Any, frame_hw: tuple[int, int], name: str, *, strides: tuple[int, ...] = STRIDES
) -> dict[int, str]:
    """The last layer at each stride before `pooled`; a stride that never occurs is absent.

    Args:
        model: flat functional model with a fixed frame.
        frame_hw: its height and width in pixels.
        name: said in the error.
        strides: the powers of two that are wanted; 8 must occur.

    Raises:
        ModelError: the backbone never gets to stride 8, so that no pyramid can stand on it.
    """
    whole = _by_stride(_whole_layers(model), frame_hw, strides)
    taps = {stride: of_stride[-1].name for stride, of_stride in whole.items()}
    if STRIDES[0] not in taps:  # each cell of NASNet reads the two before it: nothing is whole; take the widest
        before = [layer.name for layer in model.layers].index(POOLED) if _has_pool(model) else len(model.layers)
        for stride, of_stride in _by_stride(model.layers[:before], frame_hw, strides).items():
            taps[stride] = max(reversed(of_stride), key=lambda layer: layer.output.shape[-1]).name
    if STRIDES[0] not in taps:
        raise ModelError(f"expected a backbone with maps at stride 8, {name} has none in a frame of {frame_hw}")
    return taps


def _has_pool(model: Any) -> bool:
    return any(layer.name == POOLED for layer in model.layers)


def _by_stride(layers: list[Any], frame_hw: tuple[int, int], strides: tuple[int, ...]) -> dict[int, list[Any]]:
    """The layers that give maps, by stride, in order."""
    found: dict[int, list[Any]] = {}
    for layer in layers:
        shape: Any = getattr(layer.output, "shape", ())
        if len(shape) != 4 or type(layer).__name__ in _NOT_TAPPED:
            continue
        stride = min(2 ** _octave(frame_hw, shape[1:3]), STRIDES[-1])
        if stride in strides:
            found.setdefault(stride, []).append(layer)
    return found


def _whole_layers(model: Any) -> list[Any]:
    """The layers before `pooled` that no edge of the graph passes over, in order."""
    layers = model.layers
    place = {layer.name: k for k, layer in enumerate(layers)}
    whole, reach = [], 0  # reach: how far the edges go that began at earlier layers
    for k, layer in enumerate(layers):
        if layer.name == POOLED:
            break
        if reach <= k:
            whole.append(layer)
        ends = [place[node.operation.name] for node in layer._outbound_nodes if node.operation.name in place]
        reach = max([reach, *ends])
    return whole
