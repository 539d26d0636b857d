"""Non-maximum suppression on tensors of fixed size: per class, over all classes, and soft.

The greedy rule (the surest box removes what overlaps it, then the next one that is left) is found without a walk over
the boxes, a block of them at a time: start with all of the block kept, then again and again keep exactly those that no
kept, surer box overlaps. Boxes settle from the surest down, so the first state that does not change is the greedy one;
mostly after a handful of rounds. What the block kept then removes what it overlaps further down, at once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from convscope.backend.selection import load_keras
from convscope.errors import PlanError
from convscope.layers.boxes import pairwise_iou
from convscope.registry import nearest

keras = load_keras()
ops = keras.ops

MODES = ("class-wise", "agnostic", "soft")
NONE = -1.0  # score of an empty place
BLOCK = 256  # boxes that settle together


class Kept(NamedTuple):
    """What is left, the surest first, on `most` places.

    Attributes:
        index: (n, most) int32 place in the input; 0 where empty.
        score: (n, most) float32; -1 where empty. Lowered by soft suppression, else as given.
        valid: (n, most) bool.
    """

    index: Any
    score: Any
    valid: Any


def suppress(
    boxes: Any,
    scores: Any,
    labels: Any = None,
    *,
    most: int,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.0,
    mode: str = "class-wise",
    sigma: float = 0.5,
) -> Kept:
    """Keep the surest of boxes that overlap.

    Args:
        boxes: (n, k, 4) xyxy.
        scores: (n, k) at least 0; a box at or below `score_threshold` never counts.
        labels: (n, k) int class index; None for one class.
        most: how many places the result has.
        iou_threshold: boxes that overlap more than this are one object. Not used by soft suppression.
        score_threshold: compared with scores; with soft suppression after they were lowered.
        mode: "class-wise" (boxes of other classes never meet), "agnostic" (all meet) or "soft" (class-wise, but a box
            loses exp(-iou^2 / sigma) of its score instead of its place; Bodla et al. 2017, equation 3).
        sigma: of soft suppression.

    Raises:
        PlanError: an unknown mode.
    """
    if mode not in MODES:
        raise PlanError(f"unknown way of suppression {mode!r}; {nearest(mode, MODES)}")
    boxes, scores = ops.cast(boxes, "float32"), ops.cast(scores, "float32")
    if mode == "soft":
        return _soft(boxes, scores, labels, most=most, score_threshold=score_threshold, sigma=sigma)
    order = ops.argsort(-scores, axis=-1)
    ranked = ops.take_along_axis(scores, order, axis=1)
    sorted_boxes = ops.take_along_axis(boxes, ops.expand_dims(order, -1), axis=1)
    by_class = labels is not None and mode == "class-wise"
    sorted_labels = ops.take_along_axis(labels, order, axis=1) if by_class else None
    kept = _greedy(sorted_boxes, sorted_labels, ranked > score_threshold, iou_threshold)
    return _first(kept, ranked, order, most)


def _greedy(boxes: Any, labels: Any, candidates: Any, iou_threshold: float) -> Any:
    """(n, k, 4) and (n, k) labels or None, in order of score, and (n, k) bool -> (n, k) bool, the greedy choice.

    A block at a time: it settles within itself, then removes what it overlaps from all that come after.
    """
    k = boxes.shape[1]
    kept, waiting = [], candidates
    for first in range(0, k, BLOCK):
        size = min(BLOCK, k - first)
        rows = boxes[:, first : first + size]
        settled = _settled(_hits(rows, rows, labels, (first, first), iou_threshold), waiting[:, :size])
        kept.append(settled)
        if first + size < k:
            hits = _hits(rows, boxes[:, first + size :], labels, (first, first + size), iou_threshold)
            removed = ops.any(ops.logical_and(hits, ops.expand_dims(settled, -1)), axis=1)
            waiting = ops.logical_and(waiting[:, size:], ops.logical_not(removed))
    return ops.concatenate(kept, axis=1) if len(kept) > 1 else kept[0]


def _hits(rows: Any, others: Any, labels: Any, places: tuple[int, int], iou_threshold: float) -> Any:
    """(n, b, 4) and (n, m, 4) -> (n, b, m) bool, whether they are of one class and overlap."""
    hits = pairwise_iou(rows, others) > iou_threshold
    if labels is None:
        return hits
    own, theirs = (labels[:, first : first + x.shape[1]] for first, x in zip(places, (rows, others)))
    return ops.logical_and(hits, ops.equal(ops.expand_dims(own, -1), ops.expand_dims(theirs, -2)))


def _settled(overlaps: Any, candidates: Any) -> Any:
    """(n, b, b) bool in order of score and (n, b) bool -> (n, b) bool, the greedy choice."""
    k = overlaps.shape[-1]
    above = ops.cast(ops.logical_and(overlaps, ops.triu(ops.ones((k, k), "bool"), 1)), "float32")

    def again(kept: Any, changed: Any) -> Any:
        return changed

    def round_(kept: Any, changed: Any) -> tuple[Any, Any]:
        hits = ops.squeeze(ops.matmul(ops.expand_dims(ops.cast(kept, "float32"), 1), above), 1)
        following = ops.logical_and(candidates, hits < 0.5)
        return following, ops.any(ops.not_equal(following, kept))

    kept, _ = ops.while_loop(again, round_, (candidates, ops.any(candidates)), maximum_iterations=k + 1)
    return kept


def _first(kept: Any, ranked: Any, order: Any, most: int) -> Kept:
    """The first `most` kept places, in order."""
    k = ranked.shape[-1]
    rank = ops.where(kept, ops.arange(k), k + ops.arange(k))
    if most > k:
        rank = ops.pad(rank, ((0, 0), (0, most - k)), constant_values=2 * k)
    chosen = ops.sort(rank, axis=-1)[:, :most]
    valid = chosen < k
    place = ops.where(valid, chosen, 0)
    index = ops.where(valid, ops.take_along_axis(order, place, axis=1), 0)
    score = ops.where(valid, ops.take_along_axis(ranked, place, axis=1), NONE)
    return Kept(ops.cast(index, "int32"), score, valid)


def _soft(boxes: Any, scores: Any, labels: Any, *, most: int, score_threshold: float, sigma: float) -> Kept:
    """Take the surest, lower what overlaps it, `most` times."""
    k = scores.shape[-1]
    places, slots = ops.arange(k), ops.arange(most)
    empty = ops.zeros_like(scores[:, :1])

    def take_one(step: Any, state: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        left, index, score = state
        best = ops.expand_dims(ops.argmax(left, axis=-1), -1)
        best_score = ops.take_along_axis(left, best, axis=1)
        box = ops.take_along_axis(boxes, ops.expand_dims(best, -1), axis=1)
        iou = ops.squeeze(pairwise_iou(box, boxes), 1)
        if labels is not None:
            iou = ops.where(ops.equal(labels, ops.take_along_axis(labels, best, axis=1)), iou, 0.0)
        lowered = ops.where(left > NONE, left * ops.exp(-iou * iou / sigma), NONE)
        left = ops.where(places == ops.cast(best, places.dtype), NONE, lowered)
        here = slots == ops.cast(step, slots.dtype)
        return left, ops.where(here, ops.cast(best, "int32"), index), ops.where(here, best_score, score)

    first = (scores, ops.cast(empty + ops.zeros((most,)), "int32"), empty + ops.full((most,), NONE))
    _, index, score = ops.fori_loop(0, most, take_one, first)
    valid = score > score_threshold
    return Kept(ops.where(valid, index, 0), ops.where(valid, score, NONE), valid)
