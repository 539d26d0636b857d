"""Where a picture comes to lie in the network's frame, known from its size alone; boxes and masks go there as well."""

from __future__ import annotations

import numpy as np

from convscope.data.fit import resized
from convscope.errors import DataError
from convscope.records.boxes import Boxes
from convscope.records.geometry import Letterbox, Preprocess
from convscope.records.masks import VOID


def place_of(picture_hw: tuple[int, int], preprocess: Preprocess) -> Letterbox:
    """The map that `fit_picture` would use for a whole picture of this size, without reading it.

    Args:
        picture_hw: height and width in pixels after EXIF orientation.
        preprocess: the frame and how to fill it.
    """
    high, wide = picture_hw
    if preprocess.fit in ("native", "as-is") or preprocess.height is None or preprocess.width is None:
        return Letterbox(picture_hw, picture_hw, (1.0, 1.0), (0.0, 0.0))
    frame = (preprocess.height, preprocess.width)
    if preprocess.fit == "stretch":
        return Letterbox(picture_hw, frame, (frame[0] / high, frame[1] / wide), (0.0, 0.0))
    if preprocess.fit == "crop":
        scale = max(frame[0] / high, frame[1] / wide)
        top, left = (high - frame[0] / scale) / 2, (wide - frame[1] / scale) / 2
        return Letterbox(picture_hw, frame, (scale, scale), (-top * scale, -left * scale))
    scale = min(frame[0] / high, frame[1] / wide)
    inner = (min(frame[0], max(1, round(high * scale))), min(frame[1], max(1, round(wide * scale))))
    shift = (float((frame[0] - inner[0]) // 2), float((frame[1] - inner[1]) // 2))
    return Letterbox(picture_hw, frame, (inner[0] / high, inner[1] / wide), shift)


def boxes_in_frame(truth: Boxes, preprocess: Preprocess) -> tuple[np.ndarray, np.ndarray]:
    """Boxes that are no crowd, (k, 4) float32 xyxy in frame pixels clipped to the frame, and their labels.

    A box of which a crop leaves nothing is dropped.
    """
    place = place_of(truth.picture_hw, preprocess)
    single = ~truth.is_crowd
    corners = truth.xyxy[single].reshape(-1, 2)[:, ::-1]  # y, x
    moved = place.to_network(corners)[:, ::-1].reshape(-1, 4)
    high, wide = place.network_hw
    clipped = np.clip(moved, 0, [wide, high, wide, high]).astype(np.float32)
    kept = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
    return clipped[kept], truth.labels[single][kept]


def mask_in_frame(mask: np.ndarray, place: Letterbox) -> np.ndarray:
    """Bring a mask into the network's frame: each frame pixel takes the class at its own centre.

    Args:
        mask: (height, width) integers, of the whole picture; of a block (height, width, slices).
        place: from `place_of`.

    Returns:
        (frame height, frame width), of a block with its slices, of the same dtype; VOID where there is no picture.

    Raises:
        DataError: a mask of another size than its picture.
    """
    if mask.shape[:2] != place.picture_hw:
        raise DataError(f"expected a mask of {place.picture_hw} pixels as its picture, got {mask.shape}")
    indices = []
    for axis in (0, 1):
        centres = (np.arange(place.network_hw[axis]) + 0.5 - place.shift_yx[axis]) / place.scale_yx[axis]
        indices.append(np.floor(centres).astype(np.int64))
    rows, columns = indices
    inside = ((rows >= 0) & (rows < mask.shape[0]))[:, None] & ((columns >= 0) & (columns < mask.shape[1]))
    taken = mask[np.clip(rows, 0, mask.shape[0] - 1)][:, np.clip(columns, 0, mask.shape[1] - 1)]
    return np.where(inside.reshape(*inside.shape, *[1] * (mask.ndim - 2)), taken, VOID).astype(mask.dtype)


def mask_in_picture(mask: np.ndarray, place: Letterbox) -> np.ndarray:
    """Bring a mask from the network's frame back to the picture: each pixel takes the class at its own place.

    Args:
        mask: (frame height, frame width) integers.
        place: as it went there. What a crop left out takes the class of the nearest pixel.

    Returns:
        (height, width) of the picture, same dtype.
    """
    indices = []
    for axis in (0, 1):
        places = (np.arange(place.picture_hw[axis]) + 0.5) * place.scale_yx[axis] + place.shift_yx[axis]
        indices.append(np.clip(np.floor(places).astype(np.int64), 0, place.network_hw[axis] - 1))
    return mask[indices[0]][:, indices[1]]


def maps_in_picture(maps: np.ndarray, place: Letterbox) -> np.ndarray:
    """Bring maps of values from the network's frame back to the picture, bilinearly.

    Args:
        maps: (frame height, frame width, k) float32.
        place: as the picture went there; a crop gives back what it saw, its edges repeated outwards.

    Returns:
        (height, width, k) float32 in the picture's own pixels.
    """
    (high, wide), (tall, broad) = place.network_hw, place.picture_hw
    top, left = (round(max(0.0, s)) for s in place.shift_yx)  # whole pixels: a letterbox begins and ends on them
    bottom = round(min(float(high), place.shift_yx[0] + tall * place.scale_yx[0]))
    right = round(min(float(wide), place.shift_yx[1] + broad * place.scale_yx[1]))
    seen = [(a - s) / c for a, s, c in zip((top, left, bottom, right), place.shift_yx * 2, place.scale_yx * 2)]
    first_row, first_column, last_row, last_column = (round(v) for v in seen)
    inner = (max(1, last_row - first_row), max(1, last_column - first_column))
    drawn = resized(np.ascontiguousarray(maps[top:bottom, left:right]), inner)
    below, beside = max(0, tall - first_row - inner[0]), max(0, broad - first_column - inner[1])
    return np.pad(drawn, ((first_row, below), (first_column, beside), (0, 0)), mode="edge")[:tall, :broad]
