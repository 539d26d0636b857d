"""Non-maximum suppression in NumPy: of boxes on one thing the surest stays; and which box removed which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convscope.arrays.boxes import iou_matrix


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
    order = np.argsort(-scores, kind="stable")
    removed_by, overlap = np.full(n, -1, np.int64), np.zeros(n)
    waiting = np.ones(n, bool)
    kept: list[int] = []
    for i in order.tolist():
        if not waiting[i]:
            continue
        if most is not None and len(kept) >= most:
            break
        kept.append(i)
        waiting[i] = False
        rest = np.flatnonzero(waiting if labels is None else waiting & (labels == labels[i]))
        iou = iou_matrix(xyxy[i : i + 1], xyxy[rest])[0]
        gone = iou > iou_above
        waiting[rest[gone]] = False
        removed_by[rest[gone]], overlap[rest[gone]] = i, iou[gone]
    return Suppressed(np.array(kept, np.int64), removed_by, overlap, scores)


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
