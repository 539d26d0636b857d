"""Heat from one frame to another: layer to network frame, network frame to the original picture."""

from __future__ import annotations

import numpy as np

from convscope.records.geometry import Letterbox


def _matrix(size_in: int, size_out: int) -> np.ndarray:
    """(size_out, size_in) float32 weights of bilinear enlarging, pixel centres at half-integers, edges repeated."""
    place = np.clip((np.arange(size_out) + 0.5) * size_in / size_out - 0.5, 0, size_in - 1)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, size_in - 1)
    matrix = np.zeros((size_out, size_in), np.float64)
    np.add.at(matrix, (np.arange(size_out), low), 1 - (place - low))
    np.add.at(matrix, (np.arange(size_out), high), place - low)
    return matrix.astype(np.float32)


def resize_stack(maps: np.ndarray, height: int, width: int) -> np.ndarray:
    """(m, h, w) -> (m, height, width) float32, bilinear as `arrays.resize.resize_bilinear`, for many maps at once."""
    if maps.shape[1:] == (height, width):
        return np.asarray(maps, np.float32)
    rows, columns = _matrix(maps.shape[1], height), _matrix(maps.shape[2], width)
    return np.asarray(np.matmul(np.matmul(rows, maps.astype(np.float32)), columns.T), np.float32)


def to_picture(heat: np.ndarray, letterbox: Letterbox) -> np.ndarray:
    """Heat (rows, columns) of the network frame, whatever its resolution, in the original picture's own pixels.

    Places that the network did not see (cut away by a crop) are 0; padding is left out.
    """
    frame = resize_stack(heat[None], *letterbox.network_hw)[0]
    height, width = letterbox.picture_hw
    down = (np.arange(height) + 0.5) * letterbox.scale_yx[0] + letterbox.shift_yx[0] - 0.5
    across = (np.arange(width) + 0.5) * letterbox.scale_yx[1] + letterbox.shift_yx[1] - 0.5

    def axis(places: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        seen = (places > -1) & (places < size)
        inside = np.clip(places, 0, size - 1)
        low = np.floor(inside).astype(int)
        return low, np.minimum(low + 1, size - 1), inside - low, seen

    top, bottom, dy, seen_y = axis(down, frame.shape[0])
    left, right, dx, seen_x = axis(across, frame.shape[1])
    rows = frame[top] * (1 - dy)[:, None] + frame[bottom] * dy[:, None]
    found = rows[:, left] * (1 - dx) + rows[:, right] * dx
    return np.where(seen_y[:, None] & seen_x[None], found, 0).astype(np.float32)
