"""How alike two heat maps are: ranks, not sizes, so that scales don't matter."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from convscope.explaining.frames import resize_stack


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation of two maps of any sizes, -1..1; the smaller is resized; 0 where one is flat."""
    size = max(one.shape, other.shape)
    a = rankdata(resize_stack(one[None], *size)[0])
    b = rankdata(resize_stack(other[None], *size)[0])
    a, b = a.ravel() - a.mean(), b.ravel() - b.mean()
    length = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / length if length > 0 else 0.0


def agreement(heats: dict[str, np.ndarray]) -> np.ndarray:
    """(k, k) mean rank correlation between methods over the same n pictures; `heats` name -> (n, h, w)."""
    names = list(heats)
    table = np.eye(len(names))
    for i, one in enumerate(names):
        for j in range(i):
            pairs = zip(heats[one], heats[names[j]])
            table[i, j] = table[j, i] = float(np.mean([rank_correlation(a, b) for a, b in pairs]))
    return table
