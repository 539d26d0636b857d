"""RoIAlign: features inside boxes, read between the pixels; as two matrix products, so that it is fast everywhere.

A bin's value is a mean of bilinear readings on a grid, and bilinear weights are a product of a weight in y and one in
x. So the whole operation is `Wy (bins, h) @ features (h, w) @ Wx (w, bins)` per box: no gathering, and the gradient is
two matrix products as well.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convscope.backend.selection import load_keras
from convscope.errors import PlanError

keras = load_keras()
ops = keras.ops
_Layer: Any = keras.layers.Layer


def _places(low: Any, high: Any, *, bins: int, sampling: int, aligned: bool) -> Any:
    """(n, r) edges of boxes in map pixels -> (n, r, bins * sampling) places to read, centre of pixel k = k."""
    if aligned:
        low, high = low - 0.5, high - 0.5
    extent = high - low if aligned else ops.maximum(high - low, 1.0)
    steps = (np.arange(bins * sampling, dtype="float32") + 0.5) / (bins * sampling)
    return ops.expand_dims(low, -1) + ops.expand_dims(extent, -1) * ops.convert_to_tensor(steps.astype("float32"))


def _inside(places: Any, size: int) -> Any:
    return ops.cast(ops.logical_and(places >= -1.0, places <= size), "float32")


def _weights(places: Any, size: int, *, bins: int, sampling: int) -> Any:
    """(n, r, bins * sampling) places -> (n, r, bins, size): how much each pixel of the axis counts for each bin."""
    held = ops.expand_dims(ops.clip(places, 0.0, size - 1.0), -1)
    tent = ops.maximum(0.0, 1.0 - ops.abs(held - ops.arange(size, dtype="float32")))
    tent = tent * ops.expand_dims(_inside(places, size), -1)
    n, r = ops.shape(places)[0], places.shape[1]
    return ops.mean(ops.reshape(tent, (n, r, bins, sampling, size)), axis=3)


def roi_align(
    features: Any,
    boxes: Any,
    *,
    scale_yx: tuple[float, float],
    size: int = 7,
    sampling: int = 2,
    aligned: bool = True,
    counted: Any = None,
) -> Any:
    """Mean features in each bin of each box.

    Args:
        features: (n, h, w, c).
        boxes: (n, r, 4) xyxy in pixels of the frame.
        scale_yx: map pixels for each frame pixel, down and across.
        size: bins on each side.
        sampling: readings for each bin and side.
        aligned: half-pixel rule (the centre of pixel 0 lies at 0.5); False for the first version of the paper.
        counted: (n, r) float32, multiplies a box's result; None for 1.

    Returns:
        (n, r, size, size, c).

    Source: He et al. 2017 (Mask R-CNN), section 3; borders as in ONNX RoiAlign.
    """
    n, (height, width, channels), r = ops.shape(features)[0], features.shape[1:], boxes.shape[1]
    wx, wy = (
        _weights(
            _places(boxes[..., k] * scale, boxes[..., k + 2] * scale, bins=size, sampling=sampling, aligned=aligned),
            length,
            bins=size,
            sampling=sampling,
        )
        for k, scale, length in ((0, scale_yx[1], width), (1, scale_yx[0], height))
    )
    if counted is not None:
        wy = wy * ops.reshape(counted, (-1, r, 1, 1))
    wx, wy = ops.cast(wx, features.dtype), ops.cast(wy, features.dtype)
    flat = ops.reshape(features, (n, height, width * channels))
    rows = ops.matmul(ops.reshape(wy, (n, r * size, height)), flat)
    rows = ops.reshape(rows, (n, r, size, width, channels))
    return ops.matmul(ops.expand_dims(wx, 2), rows)


def roi_align_max(
    features: Any, boxes: Any, *, scale_yx: tuple[float, float], size: int = 7, sampling: int = 2, aligned: bool = True
) -> Any:
    """As `roi_align`, but the largest weighted corner of all readings of a bin, as ONNX defines mode "max"."""
    n, (height, width, channels), r = ops.shape(features)[0], features.shape[1:], boxes.shape[1]
    xs, ys = (
        _places(boxes[..., k] * s, boxes[..., k + 2] * s, bins=size, sampling=sampling, aligned=aligned)
        for k, s in ((0, scale_yx[1]), (1, scale_yx[0]))
    )
    flat = ops.reshape(features, (n, height * width, channels))
    corners = []
    for row, down in _corners(ys, height):
        for column, across in _corners(xs, width):
            place = ops.expand_dims(row * width, -1) + ops.expand_dims(column, -2)
            read = ops.take_along_axis(flat, ops.reshape(place, (n, -1, 1)), axis=1)
            weight = ops.expand_dims(down, -1) * ops.expand_dims(across, -2)
            corners.append(ops.reshape(read, (n, r, size, sampling, size, sampling, channels))
                           * ops.reshape(weight, (n, r, size, sampling, size, sampling, 1)))  # fmt: skip
    return ops.max(ops.max(ops.stack(corners), axis=0), axis=(3, 5))


def _corners(places: Any, size: int) -> list[tuple[Any, Any]]:
    """The two pixels beside each place with their weights."""
    held = ops.clip(places, 0.0, size - 1.0)
    low, inside = ops.floor(held), _inside(places, size)
    first = ops.cast(low, "int32")
    return [(first, (1.0 - (held - low)) * inside), (ops.minimum(first + 1, size - 1), (held - low) * inside)]


def level_of(boxes: Any, levels: int, canonical: float = 224.0) -> Any:
    """Which map of a pyramid that begins at stride 8 serves each box: (..., 4) xyxy -> (...,) int32 0..levels-1.

    Source: Lin et al. 2017 (Feature Pyramid Networks), equation 1: a box of 224 pixels belongs to stride 16.
    """
    width = ops.maximum(boxes[..., 2] - boxes[..., 0], 1e-3)
    height = ops.maximum(boxes[..., 3] - boxes[..., 1], 1e-3)
    k = ops.floor(1.0 + ops.log(ops.sqrt(width * height) / canonical + 1e-6) / float(np.log(2.0)))
    return ops.cast(ops.clip(k, 0, levels - 1), "int32")


def pyramid_roi_align(
    maps: list[Any], boxes: Any, *, frame_hw: tuple[int, int], size: int = 7, sampling: int = 2
) -> Any:
    """Each box is read from the map that fits its size: maps (n, h, w, c), fine to coarse -> (n, r, size, size, c)."""
    level = level_of(boxes, len(maps))
    total = None
    for number, features in enumerate(maps):
        scale = (features.shape[1] / frame_hw[0], features.shape[2] / frame_hw[1])
        counted = ops.cast(ops.equal(level, number), "float32")
        part = roi_align(features, boxes, scale_yx=scale, size=size, sampling=sampling, counted=counted)
        total = part if total is None else total + part
    return total


@keras.saving.register_keras_serializable("convscope")
class RoiAlign(_Layer):
    """`pyramid_roi_align` as a layer: [boxes (n, r, 4), map, map, ...] -> (n, r, size, size, c).

    Args:
        frame_hw: height and width of the frame that the boxes are in, pixels.
        size: bins on each side.
        sampling: readings for each bin and side.
        name: of the layer.
        dtype: of the layer.
        trainable: it has no weights.
    """

    def __init__(
        self,
        frame_hw: tuple[int, int],
        size: int = 7,
        sampling: int = 2,
        *,
        name: str | None = None,
        dtype: Any = None,
        trainable: bool = True,
    ) -> None:
        """Hold the settings."""
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        if len(frame_hw) != 2 or size < 1 or sampling < 1:
            raise PlanError(f"expected a frame of two sides, size and sampling of at least 1, got {size}, {sampling}")
        self.frame_hw, self.size, self.sampling = (int(frame_hw[0]), int(frame_hw[1])), size, sampling

    def call(self, inputs: list[Any]) -> Any:
        """Read each box from its map."""
        boxes, *maps = inputs
        return pyramid_roi_align(maps, boxes, frame_hw=self.frame_hw, size=self.size, sampling=self.sampling)

    def compute_output_shape(self, input_shape: list[Any]) -> tuple[Any, ...]:
        """(n, r, size, size, c)."""
        boxes, first = input_shape[0], input_shape[1]
        return (boxes[0], boxes[1], self.size, self.size, first[-1])

    def get_config(self) -> dict[str, Any]:
        """What `__init__` takes."""
        mine = {"frame_hw": list(self.frame_hw), "size": self.size, "sampling": self.sampling}
        return {**super().get_config(), **mine}
