"""Where a neck takes its maps from a backbone: the last layer at strides 8, 16 and 32, whatever the backbone."""

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
    taps: dict[int, str] = {}
    for layer in model.layers:
        if layer.name == POOLED:
            break
        shape: Any = getattr(layer.output, "shape", ())
        if len(shape) != 4 or type(layer).__name__ in _NOT_TAPPED:
            continue
        stride = 2 ** _octave(frame_hw, shape[1:3])
        if stride in strides:
            taps[stride] = layer.name
    if 8 not in taps:
        raise ModelError(f"expected a backbone with maps at stride 8, {name} has none in a frame of {frame_hw}")
    return taps
