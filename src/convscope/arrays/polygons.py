"""Polygons to masks: a pixel is inside when its centre is."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def fill_polygon(outline: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    """One outline -> bool (h, w), by the even-odd rule.

    Args:
        outline: (n, 2) x, y in pixels, edges: the picture's corners are (0, 0) and (width, height), so that the centre
            of the first pixel is (0.5, 0.5). The last point joins the first. Parts outside the picture are cut off.
        hw: height and width of the mask.

    A centre exactly on a side counts for the region to its right or below. skimage.draw.polygon gives the same
    for outlines that meet no centre; pycocotools differs by pixels along the sides, which it rounds to fifths.
    """
    height, width = hw
    points = np.asarray(outline, np.float64).reshape(-1, 2)
    flips = np.zeros((height, width + 1), np.int32)
    x0, y0 = points[:, 0], points[:, 1]
    x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
    # rows whose centre lies in [lower end, upper end) of a side
    top = np.clip(np.ceil(np.minimum(y0, y1) - 0.5), 0, height).astype(np.int64)
    bottom = np.clip(np.ceil(np.maximum(y0, y1) - 0.5), 0, height).astype(np.int64)
    counts = np.maximum(bottom - top, 0)
    if not counts.sum():
        return np.zeros(hw, bool)
    side = np.repeat(np.arange(len(points)), counts)
    rows = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + top[side]
    slope = (x1 - x0)[side] / (y1 - y0)[side]
    crossing = x0[side] + (rows + 0.5 - y0[side]) * slope
    columns = np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.int64)
    np.add.at(flips, (rows, columns), 1)
    return np.cumsum(flips[:, :width], axis=1) % 2 == 1


def fill_polygons(outlines: Iterable[np.ndarray], hw: tuple[int, int]) -> np.ndarray:
    """The union of several outlines (the parts of one object) -> bool (h, w)."""
    mask = np.zeros(hw, bool)
    for outline in outlines:
        mask |= fill_polygon(outline, hw)
    return mask
