"""Weights of resizing layers, measured: each unit pulse along one axis is sent through the back end's own resizing.

Back ends differ in their cubic and Lanczos coefficients and at the border: the weights are read off the one that runs.
"""

from __future__ import annotations

import numpy as np

from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.errors import ModelError
from convscope.scope.axes import spatial_axes
from convscope.scope.field.taps import Taps
from convscope.scope.graph import Call

NEGLIGIBLE = 1e-7


def axis_weights(call: Call) -> dict[int, np.ndarray]:
    """(positions after, positions before) float64 weights along each spatial axis of an UpSampling2D or Resizing.

    Raises:
        ModelError: it crops or pads to an aspect ratio, which is no plain resizing.
    """
    layer, ops = call.operation, load_keras().ops
    for name in ("crop_to_aspect_ratio", "pad_to_aspect_ratio"):
        if getattr(layer, name, False):
            raise ModelError(f"no rule for {call.kind} at {call.path} with {name}; known: plain resizing")
    found = {}
    for axis in spatial_axes(call):
        before, after = call.input_shapes[0][axis], call.output_shape[axis]
        pulses = np.eye(before, dtype=np.float32)[:, :, None, None]  # one picture per pulse, one column wide
        options = {"antialias": True} if getattr(layer, "antialias", False) else {}
        resized = ops.image.resize(
            pulses, (after, 1), interpolation=layer.interpolation, data_format="channels_last", **options
        )
        weights = to_numpy(resized)[:, :, 0, 0].T.astype(np.float64)
        found[axis] = np.where(np.abs(weights) > NEGLIGIBLE, weights, 0.0)
    return found


def resizing_taps(call: Call) -> dict[int, Taps]:
    """What each position reads along each axis: where its weights are not zero."""
    taps = {}
    for axis, weights in axis_weights(call).items():
        reads = tuple(tuple(int(i) for i in np.flatnonzero(row)) for row in weights)
        taps[axis] = Taps(reads, weights.shape[1], weights.shape[1], weights.shape[0])
    return taps
