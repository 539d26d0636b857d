"""Boxes as tensors: overlap, clipping, and the coder of Faster R-CNN; xyxy = left, top, right, bottom in pixels."""

from __future__ import annotations

import math
from typing import Any

from convscope.backend.selection import load_keras

keras = load_keras()
ops = keras.ops

TINY = 1e-7
LARGEST_LOG = math.log(1000 / 16)  # a box grows to at most 62.5 times its anchor: exp() stays finite
Deviations = tuple[float, float, float, float]


def sides(boxes: Any) -> tuple[Any, Any]:
    """(..., 4) xyxy -> widths and heights (...,), at least 0."""
    return ops.maximum(boxes[..., 2] - boxes[..., 0], 0.0), ops.maximum(boxes[..., 3] - boxes[..., 1], 0.0)


def areas(boxes: Any) -> Any:
    """(..., 4) xyxy -> (...,) square pixels; a swapped box has none."""
    width, height = sides(boxes)
    return width * height


def pairwise_iou(first: Any, second: Any) -> Any:
    """Intersection over union of each box with each: (..., k, 4) and (..., m, 4) -> (..., k, m) in 0..1."""
    a, b = ops.expand_dims(first, -2), ops.expand_dims(second, -3)
    width = ops.minimum(a[..., 2], b[..., 2]) - ops.maximum(a[..., 0], b[..., 0])
    height = ops.minimum(a[..., 3], b[..., 3]) - ops.maximum(a[..., 1], b[..., 1])
    both = ops.maximum(width, 0.0) * ops.maximum(height, 0.0)
    union = ops.expand_dims(areas(first), -1) + ops.expand_dims(areas(second), -2) - both
    return both / ops.maximum(union, TINY)


def clipped(boxes: Any, frame_hw: tuple[int, int]) -> Any:
    """(..., 4) xyxy cut at the border of a frame of that height and width."""
    height, width = frame_hw
    most = ops.convert_to_tensor([width, height, width, height], dtype=boxes.dtype)
    return ops.minimum(ops.maximum(boxes, 0.0), most)


def _centred(boxes: Any) -> tuple[Any, Any, Any, Any]:
    width, height = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    return boxes[..., 0] + width / 2, boxes[..., 1] + height / 2, width, height


def encode(boxes: Any, anchors: Any, deviations: Deviations = (1.0, 1.0, 1.0, 1.0)) -> Any:
    """What moves each anchor onto its box: shift in anchor sides, log of the growth, divided by `deviations`.

    Args:
        boxes: (..., 4) xyxy; a side below 1e-3 pixels counts as 1e-3.
        anchors: (..., 4) xyxy with sides above 0.
        deviations: of x, y, width, height.

    Source: Girshick et al. 2014 (R-CNN), appendix C.
    """
    x, y, width, height = _centred(boxes)
    x0, y0, w0, h0 = _centred(anchors)
    w0, h0 = ops.maximum(w0, 1e-3), ops.maximum(h0, 1e-3)
    moves = (
        (x - x0) / w0,
        (y - y0) / h0,
        ops.log(ops.maximum(width, 1e-3) / w0),
        ops.log(ops.maximum(height, 1e-3) / h0),
    )
    return ops.stack([move / deviation for move, deviation in zip(moves, deviations)], axis=-1)


def decode(deltas: Any, anchors: Any, deviations: Deviations = (1.0, 1.0, 1.0, 1.0)) -> Any:
    """The inverse of `encode`: (..., 4) deltas and anchors -> (..., 4) xyxy; growth is cut at 62.5 times."""
    x0, y0, w0, h0 = _centred(anchors)
    dx, dy, dw, dh = (deltas[..., k] * deviations[k] for k in range(4))
    x, y = x0 + dx * w0, y0 + dy * h0
    width = w0 * ops.exp(ops.minimum(dw, LARGEST_LOG))
    height = h0 * ops.exp(ops.minimum(dh, LARGEST_LOG))
    return ops.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=-1)
