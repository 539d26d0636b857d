"""Where a detector looks: points and anchors on the grid of each map; plain arrays, fixed before training."""

from __future__ import annotations

import numpy as np

Hw = tuple[int, int]


def _grid(map_hw: Hw, frame_hw: Hw) -> tuple[np.ndarray, tuple[float, float]]:
    """(h * w, 2) x and y of the cells' centres in frame pixels, row by row, and the cells' height and width."""
    down, across = frame_hw[0] / map_hw[0], frame_hw[1] / map_hw[1]
    y, x = np.meshgrid((np.arange(map_hw[0]) + 0.5) * down, (np.arange(map_hw[1]) + 0.5) * across, indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=-1), (down, across)


def grid_points(maps_hw: tuple[Hw, ...], frame_hw: Hw) -> tuple[np.ndarray, np.ndarray]:
    """Centres of the cells of all maps, fine to coarse, row by row.

    Args:
        maps_hw: height and width of each map.
        frame_hw: height and width of the frame in pixels.

    Returns:
        (points, 2) float32 x and y in frame pixels; (points, 2) float32 width and height of each one's cell.
    """
    points, strides = [], []
    for map_hw in maps_hw:
        centres, (down, across) = _grid(map_hw, frame_hw)
        points.append(centres)
        strides.append(np.broadcast_to([across, down], centres.shape))
    return np.concatenate(points).astype(np.float32), np.concatenate(strides).astype(np.float32)


def grid_anchors(
    map_hw: Hw, frame_hw: Hw, *, scale: float = 4.0, ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
) -> np.ndarray:
    """Anchors of one map: at each cell one for each ratio, all of the same area.

    Args:
        map_hw: height and width of the map.
        frame_hw: height and width of the frame in pixels.
        scale: side of the square anchor in cells.
        ratios: height over width.

    Returns:
        (h * w * ratios, 4) float32 xyxy in frame pixels; they may stick out of the frame.

    Source: Ren et al. 2015 (Faster R-CNN), section 3.1.1; one size for each map as in Lin et al. 2017.
    """
    centres, (down, across) = _grid(map_hw, frame_hw)
    side = scale * np.sqrt(down * across)
    root = np.sqrt(np.asarray(ratios, np.float64))
    half = np.stack([side / root, side * root], axis=-1) / 2  # (ratios, 2) width and height
    boxes = np.concatenate([centres[:, None] - half, centres[:, None] + half], axis=-1)
    return boxes.reshape(-1, 4).astype(np.float32)
