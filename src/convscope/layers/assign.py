"""Which prediction answers for which object: task-aligned (one-stage) and by overlap with sampling (two-stage)."""

from __future__ import annotations

from typing import Any, NamedTuple

from convscope.backend.selection import load_keras
from convscope.layers.boxes import TINY, pairwise_iou

keras = load_keras()
ops = keras.ops

NEGATIVE, IGNORED = -1, -2


class Aligned(NamedTuple):
    """What each of `a` points has to say.

    Attributes:
        index: (n, a) int32 place of its object in the truth; -1 for background.
        weight: (n, a) float32 target of its class score in 0..1; 0 for background.
    """

    index: Any
    weight: Any


def task_aligned(
    scores: Any,
    boxes: Any,
    truth: Any,
    labels: Any,
    *,
    points: Any,
    cell: float,
    best: int = 10,
    alpha: float = 0.5,
    beta: float = 6.0,
) -> Aligned:
    """Give each object the points whose score and box suit it best.

    A point may answer for an object when it lies inside its box (a box smaller than `cell` counts as that large). The
    suit is score^alpha * IoU^beta; all points at least as good as the object's `best`-th answer for it, and a point
    with several objects for the one it overlaps most. The target is the suit, scaled so that an object's largest is
    its largest IoU.

    Args:
        scores: (n, a, classes) in 0..1, predicted.
        boxes: (n, a, 4) xyxy, predicted.
        truth: (n, m, 4) xyxy.
        labels: (n, m) class index; below 0 for an empty place.
        points: (a, 2) x and y.
        cell: side of the finest cell in pixels.
        best: how many points an object gets, more when equal.
        alpha: weight of the score.
        beta: weight of the overlap.

    Source: Feng et al. 2021 (TOOD), section 3.2.
    """
    exists = ops.expand_dims(labels >= 0, -1)
    iou = pairwise_iou(truth, boxes)  # (n, m, a)
    classes = ops.one_hot(ops.maximum(labels, 0), scores.shape[-1], dtype=scores.dtype)
    of_label = ops.matmul(classes, ops.swapaxes(scores, 1, 2))
    allowed = ops.logical_and(_lie_inside(points, truth, cell), exists)
    suit = ops.where(allowed, ops.power(ops.maximum(of_label, 1e-9), alpha) * ops.power(iou, beta), 0.0)
    least = ops.top_k(suit, min(best, suit.shape[-1]))[0][..., -1:]
    candidate = ops.logical_and(suit >= least, suit > 0)
    owner = ops.argmax(ops.where(candidate, iou, -1.0), axis=1)
    owned = ops.logical_and(candidate, ops.equal(ops.expand_dims(owner, 1), _column(truth.shape[1], owner.dtype)))
    suit, iou = ops.where(owned, suit, 0.0), ops.where(owned, iou, 0.0)
    largest = ops.maximum(ops.max(suit, axis=-1, keepdims=True), 1e-30)
    weight = ops.max(suit / largest * ops.max(iou, axis=-1, keepdims=True), axis=1)
    index = ops.where(ops.any(owned, axis=1), ops.cast(owner, "int32"), NEGATIVE)
    return Aligned(ops.stop_gradient(index), ops.stop_gradient(weight))


def _column(count: int, dtype: Any) -> Any:
    return ops.reshape(ops.cast(ops.arange(count), dtype), (1, -1, 1))


def _lie_inside(points: Any, truth: Any, cell: float) -> Any:
    """(n, m, a) bool."""
    middle = (truth[..., :2] + truth[..., 2:]) / 2
    half = ops.maximum((truth[..., 2:] - truth[..., :2]) / 2, cell / 2)
    offset = ops.abs(ops.expand_dims(points, 0) - ops.expand_dims(middle, 2))
    return ops.all(offset < ops.expand_dims(half, 2), axis=-1)


def match_by_overlap(
    boxes: Any, truth: Any, labels: Any, *, positive: float, negative: float, each_object: bool
) -> Any:
    """The object that each box overlaps most.

    Args:
        boxes: (n, a, 4) or (1, a, 4) xyxy.
        truth: (n, m, 4) xyxy.
        labels: (n, m); below 0 for an empty place.
        positive: least IoU of a positive box.
        negative: a box below this IoU is background; between the two it is ignored.
        each_object: let the boxes that overlap an object most be positive, however little that is.

    Returns:
        (n, a) int32: place of the object in the truth, -1 background, -2 ignored.

    Source: Ren et al. 2015 (Faster R-CNN), section 3.1.2.
    """
    iou = ops.where(ops.expand_dims(labels >= 0, 1), pairwise_iou(boxes, truth), -1.0)  # (n, a, m)
    nearest, largest = ops.cast(ops.argmax(iou, axis=-1), "int32"), ops.max(iou, axis=-1)
    found = ops.where(largest >= negative, IGNORED, NEGATIVE)
    found = ops.where(largest >= positive, nearest, found)
    if each_object:
        top = ops.max(iou, axis=1, keepdims=True)
        forced = ops.logical_and(iou >= top, iou > TINY)
        found = ops.where(ops.any(forced, axis=-1), ops.cast(ops.argmax(forced, axis=-1), "int32"), found)
    return ops.stop_gradient(ops.cast(found, "int32"))


class Sample(NamedTuple):
    """Places drawn for a loss, positives first.

    Attributes:
        index: (n, count) int32.
        valid: (n, count) bool; False where there was nothing left to draw.
        positive: (n, count) bool.
    """

    index: Any
    valid: Any
    positive: Any


def draw_sample(matched: Any, noise: Any, *, count: int, positives: int, allowed: Any = None) -> Sample:
    """Draw `count` places, at most `positives` of them positive; the rest is background.

    Args:
        matched: (n, a) int32 of `match_by_overlap`.
        noise: (a,) or (n, a) float32 in 0..1: the largest are drawn.
        count: how many places the result has.
        positives: at most this many positive ones.
        allowed: (n, a) bool, places that may be drawn; None for all.
    """
    is_positive, is_negative = matched >= 0, ops.equal(matched, NEGATIVE)
    if allowed is not None:
        is_positive, is_negative = ops.logical_and(is_positive, allowed), ops.logical_and(is_negative, allowed)
    key = ops.where(is_positive, noise, -1.0)
    size = matched.shape[-1]
    least = ops.top_k(key, min(positives, size))[0][:, -1:]
    chosen = ops.logical_and(is_positive, key >= least)
    key = ops.where(chosen, 2.0 + noise, ops.where(is_negative, noise, -1.0))
    value, index = ops.top_k(key, min(count, size))
    return Sample(ops.cast(index, "int32"), value >= 0, value >= 2.0)
