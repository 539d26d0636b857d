"""Non-maximum suppression in NumPy: of boxes on one thing the surest stays; and which box removed which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convscope.arrays.boxes import iou_matrix

BLOCK = 32  # boxes that are compared with all others at once
TINY = 1e-7  # square pixels, so that nothing is divided by zero


@dataclass(frozen=True, eq=False)
class Suppressed:
    """What suppression did with n boxes.

    Attributes:
        kept: (k,) int64 indices of the boxes that stay, the surest first.
        removed_by: (n,) int64 index of the box that removed each one, -1 where it stays or came after `most`.
        overlap: (n,) float64 intersection over union with that box, 0 where none removed it.
        scores: (n,) float64 scores afterwards; only soft suppression changes them.
    """

    kept: np.ndarray
    removed_by: np.ndarray
    overlap: np.ndarray
    scores: np.ndarray


def suppress(
    xyxy: np.ndarray,
    scores: np.ndarray,
    *,
    labels: np.ndarray | None = None,
    iou_above: float = 0.5,
    most: int | None = None,
) -> Suppressed:
    """Go through the boxes by score; each one that stays removes those that overlap it by more than `iou_above`.

    Args:
        xyxy: (n, 4) pixels.
        scores: (n,); of equal ones the earlier box goes first.
        labels: (n,) class index: boxes of different classes leave each other alone. None: all are of one class.
        iou_above: intersection over union beyond which the less sure box goes.
        most: how many may stay.
    """
    scores = np.asarray(scores, np.float64)
    n = len(scores)
    removed_by, overlap = np.full(n, -1, np.int64), np.zeros(n)
    waiting = np.argsort(-scores, kind="stable")
    columns = _columns(xyxy)
    kept, count = [waiting[:0]], 0
    while len(waiting) and (most is None or count < most):
        block = waiting[:BLOCK]
        iou = _iou(columns, block, waiting)
        hits = iou > iou_above
        if labels is not None:
            hits &= labels[block][:, None] == labels[waiting]
        np.fill_diagonal(hits, False)
        chosen = _settled(hits)[: None if most is None else most - count]
        gone = np.asarray(hits[chosen].any(axis=0))
        by = np.array(chosen)[hits[chosen][:, gone].argmax(axis=0)]
        removed_by[waiting[gone]], overlap[waiting[gone]] = block[by], iou[by, np.flatnonzero(gone)]
        kept.append(block[chosen])
        count += len(chosen)
        waiting = waiting[~(gone | (np.arange(len(waiting)) < len(block)))]
    return Suppressed(np.concatenate(kept), removed_by, overlap, scores)


def _settled(hits: np.ndarray) -> list[int]:
    """(b, m) whom each of the b surest hits -> places of those of the b that stay."""
    alive = np.ones(hits.shape[1], bool)
    chosen = []
    for i in range(len(hits)):
        if alive[i]:
            chosen.append(i)
            alive &= ~hits[i]
    return chosen


def _columns(xyxy: np.ndarray) -> tuple[np.ndarray, ...]:
    """Left, top, right, bottom and area, each (n,), of the boxes' own dtype."""
    left, top, right, bottom = (np.ascontiguousarray(xyxy[:, k]) for k in range(4))
    return left, top, right, bottom, np.maximum(right - left, 0) * np.maximum(bottom - top, 0)


def _iou(columns: tuple[np.ndarray, ...], rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(b,) and (m,) places -> (b, m) intersection over union; in place, which is what makes it fast."""
    left, top, right, bottom, area = columns
    common = np.minimum(right[rows, None], right[others])
    common -= np.maximum(left[rows, None], left[others])
    tall = np.minimum(bottom[rows, None], bottom[others])
    tall -= np.maximum(top[rows, None], top[others])
    np.maximum(common, 0, out=common)
    np.maximum(tall, 0, out=tall)
    common *= tall
    union = area[rows, None] + area[others]
    union -= common
    np.maximum(union, TINY, out=union)
    common /= union
    return common


def suppress_softly(
    xyxy: np.ndarray,
    scores: np.ndarray,
    *,
    labels: np.ndarray | None = None,
    sigma: float = 0.5,
    score_at_least: float = 0.001,
    most: int | None = None,
) -> Suppressed:
    """Lower the score of overlapping boxes by exp(-IoU^2 / sigma) instead of removing them.

    Args:
        xyxy: (n, 4) pixels.
        scores: (n,) in 0..1.
        labels: as in `suppress`.
        sigma: the smaller, the harder.
        score_at_least: a box whose score falls below is removed, by the box that lowered it last.
        most: how many may stay.

    Source: Bodla et al. 2017, "Soft-NMS", eq. 3.
    """
    now = np.asarray(scores, np.float64).copy()
    n = len(now)
    removed_by, overlap = np.full(n, -1, np.int64), np.zeros(n)
    waiting = now >= score_at_least
    kept: list[int] = []
    while waiting.any() and (most is None or len(kept) < most):
        i = int(np.argmax(np.where(waiting, now, -np.inf)))
        kept.append(i)
        waiting[i] = False
        rest = np.flatnonzero(waiting if labels is None else waiting & (labels == labels[i]))
        iou = iou_matrix(xyxy[i : i + 1], xyxy[rest])[0]
        now[rest] *= np.exp(-(iou**2) / sigma)
        gone = now[rest] < score_at_least
        waiting[rest[gone]] = False
        removed_by[rest[gone]], overlap[rest[gone]] = i, iou[gone]
    return Suppressed(np.array(kept, np.int64), removed_by, overlap, now)
