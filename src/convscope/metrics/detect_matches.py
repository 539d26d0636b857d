"""Which found box matches which true one, by COCO's rules, for all classes, sizes and thresholds at once.

Only pairs that overlap enough to match at the lowest threshold are looked at, and all pictures and classes go forward
together, one rank of score after the other; so the time grows with the number of overlapping pairs.

Source: cocodataset/cocoapi, cocoeval.py (`computeIoU`, `evaluateImg`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from convscope.arrays.boxes import box_areas, paired_iou
from convscope.records.boxes import Boxes, Found

THRESHOLDS = np.linspace(0.5, 0.95, 10)
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
MOST = 100  # boxes that count per picture and class


@dataclass(frozen=True, eq=False)
class Matches:
    """All boxes of a data set as columns, sorted by picture, class and falling score; a = 4 sizes, t = 10 thresholds.

    Attributes:
        picture, label, score, rank: (d,) of each found box; `rank` counts from 0 within picture and class, and boxes
            of rank `MOST` and beyond are left out. `source`: its index within its picture.
        is_hit: (a, t, d) bool, matched with a true box.
        is_ignored: (a, t, d) bool, counts neither for nor against.
        truth_of: (t, d) index into the true boxes for size "all", -1 for none.
        truth_picture, truth_label: (g,) of each true box; `truth_source`: its index within its picture.
        truth_counts: (a, g) bool, a true box that should be found (of this size, no crowd).
        n_pictures, n_classes: how many.
    """

    picture: np.ndarray
    label: np.ndarray
    score: np.ndarray
    rank: np.ndarray
    source: np.ndarray
    is_hit: np.ndarray
    is_ignored: np.ndarray
    truth_of: np.ndarray
    truth_picture: np.ndarray
    truth_label: np.ndarray
    truth_source: np.ndarray
    truth_counts: np.ndarray
    n_pictures: int
    n_classes: int


@dataclass(frozen=True, eq=False)
class _Columns:
    """Boxes of all pictures one below the other."""

    picture: np.ndarray
    label: np.ndarray
    xyxy: np.ndarray
    source: np.ndarray


def _columns(boxes: Sequence[Boxes] | Sequence[Found]) -> _Columns:
    counts = [len(b) for b in boxes]
    return _Columns(
        picture=np.repeat(np.arange(len(boxes)), counts),
        label=np.concatenate([np.zeros(0, np.int64), *(np.asarray(b.labels, np.int64) for b in boxes)]),
        xyxy=np.concatenate([np.zeros((0, 4)), *(np.asarray(b.xyxy, np.float64) for b in boxes)]),
        source=np.concatenate([np.zeros(0, np.int64), *(np.arange(c) for c in counts)]),
    )


def match_boxes(found: Sequence[Found], truth: Sequence[Boxes], n_classes: int) -> Matches:
    """Match what was found in n pictures with what is there.

    Args:
        found: one for each picture; scores in any order.
        truth: likewise.
        n_classes: number of classes.
    """
    true = _columns(truth)
    crowd = np.concatenate([np.zeros(0, bool), *(b.is_crowd for b in truth)])
    areas = np.concatenate([np.zeros(0), *(box_areas(b.xyxy) if b.areas is None else b.areas for b in truth)])
    limits = np.array(list(AREAS.values()))
    counts = ~crowd & (areas >= limits[:, :1]) & (areas <= limits[:, 1:])
    got, score, rank = _ranked(found, n_classes)
    pairs = _pairs(got, true, crowd, n_classes)
    truth_at, hit_ignored = _greedy(rank, pairs, (crowd, ~counts), len(limits))
    is_hit = truth_at >= 0
    own = box_areas(got.xyxy)
    other_size = (own < limits[:, :1]) | (own > limits[:, 1:])
    return Matches(
        picture=got.picture,
        label=got.label,
        score=score,
        rank=rank,
        source=got.source,
        is_hit=is_hit,
        is_ignored=hit_ignored | (~is_hit & other_size[:, None]),
        truth_of=truth_at[0],
        truth_picture=true.picture,
        truth_label=true.label,
        truth_source=true.source,
        truth_counts=counts,
        n_pictures=len(truth),
        n_classes=n_classes,
    )


def _ranked(found: Sequence[Found], n_classes: int) -> tuple[_Columns, np.ndarray, np.ndarray]:
    """Found boxes by picture, class and falling score (equal scores in the given order), at most `MOST` of each."""
    got = _columns(found)
    score = np.concatenate([np.zeros(0), *(np.asarray(f.scores, np.float64) for f in found)])
    order = np.lexsort((-score, got.label, got.picture))
    group = (got.picture * n_classes + got.label)[order]
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    rank = np.arange(len(group)) - np.repeat(starts, np.diff(np.append(starts, len(group))))
    kept = order[rank < MOST]
    columns = _Columns(got.picture[kept], got.label[kept], got.xyxy[kept], got.source[kept])
    return columns, score[kept], rank[rank < MOST]


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Overlapping pairs of one picture and class: index of the found box, of the true one, and their overlap."""

    found: np.ndarray
    true: np.ndarray
    iou: np.ndarray


_BLOCK = 2_000_000


def _pairs(got: _Columns, true: _Columns, crowd: np.ndarray, n_classes: int) -> _Pairs:
    """All pairs that reach the lowest threshold, by found box and then in the order of the true boxes."""
    order = np.argsort(true.picture * n_classes + true.label, kind="stable")
    groups = (true.picture * n_classes + true.label)[order]
    mine = got.picture * n_classes + got.label
    first, last = np.searchsorted(groups, mine, "left"), np.searchsorted(groups, mine, "right")
    n_each = last - first
    ends = np.cumsum(n_each)
    lists: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    at = 0
    while at < len(mine):
        stop = max(at + 1, int(np.searchsorted(ends, (ends[at - 1] if at else 0) + _BLOCK, "right")))
        each = n_each[at:stop]
        f = np.repeat(np.arange(at, stop), each)
        offset = np.arange(len(f)) - np.repeat(np.cumsum(each) - each, each)
        t = order[np.repeat(first[at:stop], each) + offset]
        iou = paired_iou(got.xyxy[f], true.xyxy[t], crowd=crowd[t])
        near = iou >= THRESHOLDS[0]
        lists.append((f[near], t[near], iou[near]))
        at = stop
    empty = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    f, t, iou = (np.concatenate(columns) for columns in zip(empty, *lists))
    return _Pairs(f, t, iou)


def _greedy(
    rank: np.ndarray, pairs: _Pairs, marks: tuple[np.ndarray, np.ndarray], n_areas: int
) -> tuple[np.ndarray, np.ndarray]:
    """Let the surest boxes choose first; of several true boxes the one with the largest overlap, of equals the last.

    True boxes that count are preferred to those that do not; a crowd may be chosen again and again.

    Args:
        rank: (d,) of each found box.
        pairs: sorted by found box.
        marks: (g,) is a crowd; (a, g) does not count for this size.
        n_areas: a.

    Returns:
        (a, t, d) chosen true box or -1; (a, t, d) whether the chosen one does not count.
    """
    crowd, ignored = marks
    n_found, n_true, levels = len(rank), len(crowd), len(THRESHOLDS)
    chosen = np.full((n_areas, levels, n_found), -1, np.int32)
    is_ignored = np.zeros((n_areas, levels, n_found), bool)
    free = np.ones((n_areas, levels, n_true), bool)
    by_rank = np.argsort(rank[pairs.found], kind="stable")
    ranks = rank[pairs.found][by_rank]
    edges = np.append(np.flatnonzero(np.diff(ranks, prepend=-1)), len(ranks))
    for start, stop in pairwise(edges.tolist()):
        at = by_rank[start:stop]
        f, t, iou = pairs.found[at], pairs.true[at], pairs.iou[at]
        firsts = np.flatnonzero(np.diff(f, prepend=-1))
        who = f[firsts]
        can = (free[:, :, t] | crowd[t]) & (iou >= np.minimum(THRESHOLDS, 1 - 1e-10)[:, None])
        each = np.diff(np.append(firsts, len(f)))
        # a true box that counts beats any that does not
        wanted = can & ~ignored[:, None, t]
        can = np.where(np.repeat(np.logical_or.reduceat(wanted, firsts, axis=2), each, axis=2), wanted, can)
        best = np.maximum.reduceat(np.where(can, iou, -1.0), firsts, axis=2)
        is_best = can & (iou == np.repeat(best, each, axis=2))
        last = np.maximum.reduceat(np.where(is_best, np.arange(len(f)), -1), firsts, axis=2)
        a, level, column = np.nonzero(last >= 0)
        true = t[last[a, level, column]]
        chosen[a, level, who[column]] = true
        is_ignored[a, level, who[column]] = ignored[a, true]
        free[a, level, true] = False
    return chosen, is_ignored
