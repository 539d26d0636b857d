"""Surfaces of regions and the distances between two of them, in pixels or millimetres; any number of dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

_DENSE = 8  # above one surface point in so many pixels of the box a distance map is quicker than a search tree


def inner_edge(region: np.ndarray) -> np.ndarray:
    """Pixels of a region that touch its outside across a side (not a corner); beyond the array is outside.

    bool (...) -> bool (...): the region less its erosion by the cross, the rule of MONAI and of scipy.
    """
    padded = np.pad(np.asarray(region, bool), 1)
    inside = padded.copy()
    for axis in range(padded.ndim):
        inside &= np.roll(padded, 1, axis) & np.roll(padded, -1, axis)
    core = tuple(slice(1, -1) for _ in range(padded.ndim))
    return padded[core] & ~inside[core]


def box_of(*regions: np.ndarray) -> tuple[slice, ...] | None:
    """The smallest box that holds all regions, or None when all are empty."""
    slices = []
    for axis in range(regions[0].ndim):
        others = tuple(a for a in range(regions[0].ndim) if a != axis)
        hit = np.zeros(regions[0].shape[axis], bool)
        for region in regions:
            hit |= region.any(axis=others)
        places = np.flatnonzero(hit)
        if not places.size:
            return None
        slices.append(slice(int(places[0]), int(places[-1]) + 1))
    return tuple(slices)


def surface_distances(
    found: np.ndarray, truth: np.ndarray, *, spacing: Sequence[float] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Distance from each point of one surface to the nearest point of the other, both ways.

    Args:
        found: bool, the region found.
        truth: bool, of the same shape.
        spacing: size of a pixel along each axis, in mm for instance; 1 by default.

    Returns:
        (found to truth, truth to found), float64, one number for each pixel of `inner_edge`; infinite where the
        other region is empty, of length 0 where the region itself is.
    """
    found, truth = np.asarray(found, bool), np.asarray(truth, bool)
    steps = np.ones(found.ndim) if spacing is None else np.asarray(spacing, np.float64)
    box = box_of(found, truth)
    if box is None:
        return np.empty(0), np.empty(0)
    edges = inner_edge(found[box]), inner_edge(truth[box])
    sizes = [int(np.count_nonzero(e)) for e in edges]
    if 0 in sizes:
        return np.full(sizes[0], np.inf), np.full(sizes[1], np.inf)
    if max(sizes) * _DENSE > edges[0].size:
        return _by_map(edges[0], edges[1], steps), _by_map(edges[1], edges[0], steps)
    return _by_tree(edges[0], edges[1], steps), _by_tree(edges[1], edges[0], steps)


def _by_map(start: np.ndarray, goal: np.ndarray, steps: np.ndarray) -> np.ndarray:
    distances: np.ndarray = ndimage.distance_transform_edt(~goal, sampling=steps)
    return distances[start]


def _by_tree(start: np.ndarray, goal: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Only points that are not on the goal themselves are looked up; the others are 0."""
    apart = ~goal[start]
    distances = np.zeros(apart.size)
    if apart.any():
        tree = cKDTree(np.argwhere(goal) * steps, balanced_tree=False, compact_nodes=False)
        distances[apart], _ = tree.query(np.argwhere(start)[apart] * steps)
    return distances


def percentile_hausdorff(distances: tuple[np.ndarray, np.ndarray], percent: float = 95.0) -> float:
    """The larger of the two directed percentiles (MONAI's rule; 100 is the Hausdorff distance); NaN for no surface."""
    if not (distances[0].size or distances[1].size):
        return float("nan")
    if not all(np.isfinite(d).all() and d.size for d in distances):
        return float("inf")
    return max(float(np.percentile(d, percent)) for d in distances)


def mean_surface_distance(distances: tuple[np.ndarray, np.ndarray]) -> float:
    """Mean over the points of both surfaces (average symmetric surface distance); NaN for no surface."""
    both = np.concatenate(distances)
    return float(both.mean()) if both.size else float("nan")
