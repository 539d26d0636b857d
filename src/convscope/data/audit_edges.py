"""A spot at the edge that tells the classes apart while the middle does not: a stamp, a caption, a frame.

Read from the 16 x 16 grey thumbnails that a scan keeps: each cell alone is a score, its area under the ROC curve says
how well it tells one class from the rest. Objects lie in the middle; what is written on pictures lies at the edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

MIN_AUC = 0.97
MIN_LEAD = 0.05  # by how much the edge must beat the best cell inside
MIN_PER_CLASS = 20  # with fewer the best of 60 cells is often perfect by chance
MOST_PICTURES = 5000  # more say the same


@dataclass(frozen=True)
class EdgeSpot:
    """The cell (row, column of 16) that tells class `label` (its number) best, and whether it is brighter there."""

    row: int
    column: int
    label: int
    auc: float
    is_brighter: bool

    @property
    def words(self) -> str:
        """Where it lies, in words: "spot at the top left edge"."""
        third = (
            {0: "top", 1: "", 2: "bottom"}[self.row * 3 // 16],
            {0: "left", 1: "", 2: "right"}[self.column * 3 // 16],
        )
        return f"spot at the {' '.join(w for w in third if w)} edge"


def find_edge_spot(thumbs: np.ndarray, member: np.ndarray) -> EdgeSpot | None:
    """The clearest such spot, or None.

    Args:
        thumbs: (n, 16, 16) uint8.
        member: (n, classes) bool.
    """
    step = -(-len(thumbs) // MOST_PICTURES)
    thumbs, member = thumbs[::step], member[::step]
    positives = member.sum(axis=0)
    usable = np.flatnonzero((positives >= MIN_PER_CLASS) & (len(member) - positives >= MIN_PER_CLASS))
    if not len(usable):
        return None
    height, width = thumbs.shape[1:]
    areas = _areas(thumbs.reshape(len(thumbs), -1), member[:, usable]).reshape(len(usable), height, width)
    strength = np.maximum(areas, 1 - areas)
    is_edge = np.ones((height, width), bool)
    is_edge[1:-1, 1:-1] = False
    edge, inside = strength[:, is_edge].max(axis=1), strength[:, ~is_edge].max(axis=1)
    label = int(np.argmax(edge - inside))
    if edge[label] < MIN_AUC or edge[label] - inside[label] < MIN_LEAD:
        return None
    row, column = np.unravel_index(np.argmax(np.where(is_edge, strength[label], 0)), (height, width))
    is_brighter = bool(areas[label, row, column] >= 0.5)
    return EdgeSpot(int(row), int(column), int(usable[label]), float(edge[label]), is_brighter)


def _areas(values: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of every column of `values` for every class: (classes, columns), ties counted half."""
    ranks = rankdata(values, axis=0)
    p = member.sum(axis=0)[:, None].astype(float)
    return (member.T.astype(float) @ ranks - p * (p + 1) / 2) / (p * (len(values) - p))
