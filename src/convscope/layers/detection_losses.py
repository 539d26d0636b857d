"""Losses on boxes, element by element: GIoU, CIoU, distribution focal loss, smooth L1."""

from __future__ import annotations

import math
from typing import Any

from convscope.backend.selection import load_keras
from convscope.layers.boxes import TINY, areas

keras = load_keras()
ops = keras.ops


def _overlap(a: Any, b: Any) -> tuple[Any, Any]:
    """IoU and union of a[i] with b[i]."""
    width = ops.minimum(a[..., 2], b[..., 2]) - ops.maximum(a[..., 0], b[..., 0])
    height = ops.minimum(a[..., 3], b[..., 3]) - ops.maximum(a[..., 1], b[..., 1])
    both = ops.maximum(width, 0.0) * ops.maximum(height, 0.0)
    union = ops.maximum(areas(a) + areas(b) - both, TINY)
    return both / union, union


def _hull(a: Any, b: Any) -> tuple[Any, Any]:
    """Width and height of the smallest box around a[i] and b[i]."""
    width = ops.maximum(a[..., 2], b[..., 2]) - ops.minimum(a[..., 0], b[..., 0])
    height = ops.maximum(a[..., 3], b[..., 3]) - ops.minimum(a[..., 1], b[..., 1])
    return width, height


def giou(a: Any, b: Any) -> Any:
    """Generalised IoU of a[i] with b[i]: (..., 4) xyxy each -> (...,) in -1..1.

    Source: Rezatofighi et al. 2019, algorithm 1.
    """
    iou, union = _overlap(a, b)
    width, height = _hull(a, b)
    hull = ops.maximum(width * height, TINY)
    return iou - (hull - union) / hull


def ciou(a: Any, b: Any) -> Any:
    """Complete IoU of a[i] with b[i]: overlap, less distance of centres, less difference of shape.

    Args:
        a: (..., 4) xyxy; gradients flow through it and stay finite for boxes without area.
        b: (..., 4) xyxy.

    Returns:
        (...,), at most 1.

    Source: Zheng et al. 2020 (Distance-IoU), equations 8 to 11; the trade-off alpha is a constant.
    """
    iou, _ = _overlap(a, b)
    width, height = _hull(a, b)
    dx = (a[..., 0] + a[..., 2] - b[..., 0] - b[..., 2]) / 2
    dy = (a[..., 1] + a[..., 3] - b[..., 1] - b[..., 3]) / 2
    distance = (dx * dx + dy * dy) / ops.maximum(width * width + height * height, TINY)
    shape = (4 / math.pi**2) * ops.square(_aspect(a) - _aspect(b))
    alpha = ops.stop_gradient(shape / ops.maximum(1.0 - iou + shape, TINY))
    return iou - distance - alpha * shape


def _aspect(boxes: Any) -> Any:
    width = ops.maximum(boxes[..., 2] - boxes[..., 0], 1e-3)
    height = ops.maximum(boxes[..., 3] - boxes[..., 1], 1e-3)
    return ops.arctan(width / height)


def distribution_focal(logits: Any, distances: Any) -> Any:
    """Cross-entropy of a distance against the two whole numbers beside it, weighted by nearness.

    Args:
        logits: (..., bins), the distribution over 0..bins-1.
        distances: (...,) in bins; cut to 0..bins-1.

    Returns:
        (...,), at least 0.

    Source: Li et al. 2020 (Generalized Focal Loss), equation 6.
    """
    bins = logits.shape[-1]
    wanted = ops.clip(distances, 0.0, bins - 1.0)
    # each whole number's share: a tent of width 1 around the distance
    places = ops.arange(bins, dtype="float32")
    share = ops.maximum(0.0, 1.0 - ops.abs(ops.expand_dims(wanted, -1) - places))
    return -ops.sum(share * ops.log_softmax(logits, axis=-1), axis=-1)


def smooth_l1(differences: Any, beta: float) -> Any:
    """Square below `beta`, straight above, element by element; 0 is best.

    Source: Girshick 2015 (Fast R-CNN), equation 3.
    """
    size = ops.abs(differences)
    return ops.where(size < beta, 0.5 * size * size / beta, size - 0.5 * beta)


def binary_cross_entropy(logits: Any, wanted: Any) -> Any:
    """Of each logit with a target in 0..1, element by element."""
    return ops.maximum(logits, 0.0) - logits * wanted + ops.softplus(-ops.abs(logits))
