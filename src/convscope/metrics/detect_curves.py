"""Precision against recall, average precision and average recall of a detector, as COCO defines them.

Source: cocodataset/cocoapi, cocoeval.py (`accumulate`, `summarize`): precision made monotone, read at 101 recalls.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convscope.metrics.detect_matches import AREAS, MOST, THRESHOLDS, Matches

RECALLS = np.linspace(0.0, 1.0, 101)
_SIZES = tuple(AREAS)


@dataclass(frozen=True, eq=False)
class Accumulated:
    """COCO's tables; NaN for a class without true boxes of a size.

    Attributes:
        precision: (t, 101, k, a) at 101 recalls, at most 100 boxes per picture and class.
        recall: (t, k, a) with at most 100 boxes.
        recall_of_first: {1: (t, k), 10: (t, k)} with at most so many boxes, size "all".
    """

    precision: np.ndarray
    recall: np.ndarray
    recall_of_first: dict[int, np.ndarray]


def class_order(matches: Matches, label: int) -> np.ndarray:
    """Columns of the found boxes of one class, the surest first; equal scores in picture order."""
    mine = np.flatnonzero(matches.label == label)
    return mine[np.argsort(-matches.score[mine], kind="stable")]


def accumulate(matches: Matches) -> Accumulated:
    """Curves for each threshold, class and size."""
    levels, k, sizes = len(THRESHOLDS), matches.n_classes, len(AREAS)
    precision = np.full((levels, len(RECALLS), k, sizes), np.nan)
    recall = np.full((levels, k, sizes), np.nan)
    first = {1: np.full((levels, k), np.nan), 10: np.full((levels, k), np.nan)}
    for label in range(k):
        there = matches.truth_counts[:, matches.truth_label == label].sum(axis=1)
        columns = class_order(matches, label)
        hit, ignored = matches.is_hit[:, :, columns], matches.is_ignored[:, :, columns]
        right = np.cumsum(hit & ~ignored, axis=2)
        wrong = np.cumsum(~hit & ~ignored, axis=2)
        for size in np.flatnonzero(there > 0).tolist():
            recall[:, label, size] = right[size, :, -1] / there[size] if len(columns) else 0.0
            for level in range(levels):
                precision[level, :, label, size] = at_recalls(right[size, level], wrong[size, level], int(there[size]))
        if there[0] > 0:
            for most, table in first.items():
                counted = (hit & ~ignored)[0][:, matches.rank[columns] < most]
                table[:, label] = counted.sum(axis=1) / there[0]
    return Accumulated(precision, recall, first)


def at_recalls(right: np.ndarray, wrong: np.ndarray, there: float) -> np.ndarray:
    """(101,) precision at recalls 0, 0.01, ... 1; 0 beyond the highest that is reached.

    Args:
        right: (d,) number of hits among the surest 1, 2, ... boxes.
        wrong: (d,) number of false ones.
        there: number of true boxes.
    """
    if not len(right):
        return np.zeros(len(RECALLS))
    share = right / (wrong + right + np.spacing(1))
    envelope = np.maximum.accumulate(share[::-1])[::-1]
    places = np.searchsorted(right / there, RECALLS, side="left")
    return np.where(places < len(envelope), envelope[np.minimum(places, len(envelope) - 1)], 0.0)


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def coco_numbers(tables: Accumulated) -> dict[str, float]:
    """COCO's twelve numbers by name, each in 0..1, NaN where no class has such true boxes."""
    half, three_quarters = 0, 5  # of THRESHOLDS: 0.5 and 0.75
    found = {
        "map": _mean(tables.precision[:, :, :, 0]),
        "map_50": _mean(tables.precision[half, :, :, 0]),
        "map_75": _mean(tables.precision[three_quarters, :, :, 0]),
    }
    found |= {f"map_{name}": _mean(tables.precision[..., i]) for i, name in enumerate(_SIZES) if i}
    found |= {f"ar_{most}": _mean(table) for most, table in tables.recall_of_first.items()}
    found |= {f"ar_{MOST}": _mean(tables.recall[..., 0])}
    return found | {f"ar_{name}": _mean(tables.recall[..., i]) for i, name in enumerate(_SIZES) if i}


@dataclass(frozen=True, eq=False)
class Curve:
    """One class, or all together, at an overlap of 0.5: what is right and found when boxes above a score count.

    Attributes:
        name: the class, or "all classes".
        scores: (d,) falling; of equal scores only the last place is meant by a threshold.
        precision, recall, f1: (d,) when all boxes at least as sure count.
        there: number of true boxes.
    """

    name: str
    scores: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    there: int

    @property
    def best(self) -> tuple[float, float, float, float]:
        """(score threshold, F1, precision, recall) where F1 is highest; of equals the highest threshold.

        (NaN, 0, 0, 0) when nothing was found.
        """
        if not len(self.scores):
            return float("nan"), 0.0, 0.0, 0.0
        place = int(np.argmax(self.f1))
        return (
            float(self.scores[place]),
            float(self.f1[place]),
            float(self.precision[place]),
            float(self.recall[place]),
        )


def threshold_curve(matches: Matches, name: str, *, label: int | None = None) -> Curve:
    """Precision, recall and F1 over all score thresholds at an overlap of 0.5, size "all"; None for all classes."""
    mine = np.arange(len(matches.label)) if label is None else np.flatnonzero(matches.label == label)
    columns = mine[np.argsort(-matches.score[mine], kind="stable")]
    columns = columns[~matches.is_ignored[0, 0, columns]]
    counted = matches.truth_counts[0] if label is None else matches.truth_counts[0] & (matches.truth_label == label)
    there = int(counted.sum())
    scores = matches.score[columns]
    right = np.cumsum(matches.is_hit[0, 0, columns])
    # a threshold can't part equal scores: only the last of each counts
    last = np.flatnonzero(np.diff(scores, append=-np.inf) != 0)
    right, n = right[last], last + 1
    recall = right / there if there else np.zeros(len(last))
    f1 = 2 * right / (n + there) if there else np.zeros(len(last))
    return Curve(name, scores[last], right / n, recall, f1, there)
