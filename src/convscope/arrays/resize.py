"""Resizing of plain arrays: by whole factors (maps stay pixelated) and once, bilinearly (heat over a picture)."""

from __future__ import annotations

import numpy as np


def enlarge(values: np.ndarray, factor: int) -> np.ndarray:
    """(h, w, ...) -> (h factor, w factor, ...): every value becomes a square of `factor` pixels."""
    return values.repeat(factor, axis=0).repeat(factor, axis=1)


def reduce_mean(values: np.ndarray, factor: int) -> np.ndarray:
    """(h, w) -> (ceil(h / factor), ceil(w / factor)): mean of squares of `factor` pixels, smaller at the edge."""
    height, width = values.shape
    rows, columns = np.arange(0, height, factor), np.arange(0, width, factor)
    sums = np.add.reduceat(np.add.reduceat(values.astype(np.float64), rows, axis=0), columns, axis=1)
    counts = np.outer(np.diff(np.append(rows, height)), np.diff(np.append(columns, width)))
    return sums / counts


def _weights(size_in: int, size_out: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    place = np.clip((np.arange(size_out) + 0.5) * size_in / size_out - 0.5, 0, size_in - 1)
    low = np.floor(place).astype(int)
    return low, np.minimum(low + 1, size_in - 1), place - low


def resize_bilinear(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """(h, w) -> (height, width) float64; pixel centres at half-integers, edges repeated.

    Meant for enlarging (heat maps to pictures); shrinking by more than 2 skips values.
    """
    top, bottom, down = _weights(values.shape[0], height)
    left, right, across = _weights(values.shape[1], width)
    values = values.astype(np.float64)
    rows = values[top] * (1 - down[:, None]) + values[bottom] * down[:, None]
    return rows[:, left] * (1 - across) + rows[:, right] * across
