"""How alike two sets of activations are."""

from __future__ import annotations

import numpy as np

from convscope.errors import DataError


def linear_cka(first: np.ndarray, second: np.ndarray) -> float:
    """Centred kernel alignment of two arrays (n, ...) over the same n pictures, 0..1; NaN when one never varies.

    Each picture's values are one feature vector, so layers of different shapes can be compared. Computed on the
    n x n Gram matrices.

    Raises:
        DataError: fewer than three pictures, or not equally many.

    Source: Kornblith et al. 2019, eq. 3 with a linear kernel.
    """
    if len(first) != len(second) or len(first) < 3:
        raise DataError(f"expected the same pictures, at least 3, got {len(first)} and {len(second)}")
    grams = []
    for values in (first, second):
        flat = values.reshape(len(values), -1).astype(np.float64)
        flat = flat - flat.mean(axis=0)
        grams.append(flat @ flat.T)
    scale = np.sqrt((grams[0] ** 2).sum() * (grams[1] ** 2).sum())
    return float((grams[0] * grams[1]).sum() / scale) if scale > 0 else float("nan")
