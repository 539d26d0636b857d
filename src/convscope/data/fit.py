"""Bring a decoded picture into the network's frame, and remember the way back.

Resizing is Pillow's antialiased bilinear filter (a triangle as wide as the reduction). uint8 in, uint8 out; float32
in, float32 out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image

from convscope.records.geometry import Letterbox, Preprocess
from convscope.records.samples import Picture

_POOL = Image.core  # type: ignore[attr-defined]  # Pillow's types do not name it
_BLOCKS_PER_THREAD = 3  # the picture, the picture resized in one direction, the result
_Box = tuple[float, float, float, float]


@contextmanager
def freed_blocks_kept(threads: int) -> Iterator[None]:
    """Let Pillow keep the memory of the pictures that it has freed while the block runs, for the next ones.

    As it comes, Pillow hands that memory back to the system after each picture; to get it again, page by page, costs
    half as much time as resizing. A block is as large as the picture it was for, 16 MB at most. Whoever has set
    PILLOW_BLOCKS_MAX is left alone.
    """
    if "PILLOW_BLOCKS_MAX" in os.environ:
        yield
        return
    blocks = _BLOCKS_PER_THREAD * threads
    _POOL.set_blocks_max(max(blocks, _POOL.get_blocks_max()))
    try:
        yield
    finally:
        _POOL.clear_cache()  # the number stays: another loader may be at work


def fit_picture(
    picture: Picture, preprocess: Preprocess, out: np.ndarray | None = None
) -> tuple[np.ndarray, Letterbox]:
    """Resize, pad or cut one picture as `preprocess` says.

    Args:
        picture: values (h, w, c) in 0..255; may be a reduced decoding of `picture.source_hw`.
        preprocess: the frame and how to fill it.
        out: an array of the frame's shape to write to where dtypes agree (letterbox only: it saves the loader a
            fresh array and a copy for each picture); the result is then this array.

    Returns:
        (height, width, c) values of the same dtype and range, and the map from the whole picture's pixels
        (`source_hw`) to the frame. "native" and "as-is" return the values untouched.
    """
    values = picture.values
    if preprocess.fit in ("native", "as-is") or preprocess.height is None or preprocess.width is None:
        return values, _untouched(picture)
    frame = (preprocess.height, preprocess.width)
    if preprocess.fit == "letterbox":
        return _letterboxed(picture, frame, preprocess.fill, out)
    if preprocess.fit == "crop":
        return _cropped(picture, frame)
    high, wide = picture.source_hw
    place = Letterbox(picture.source_hw, frame, (frame[0] / high, frame[1] / wide), (0.0, 0.0))
    return resized(values, frame), place


def _untouched(picture: Picture) -> Letterbox:
    shape = picture.values.shape
    hw = (int(shape[0]), int(shape[1])) if len(shape) >= 2 else (1, 1)
    source = picture.source_hw
    return Letterbox(source, hw, (hw[0] / source[0], hw[1] / source[1]), (0.0, 0.0))


def _letterboxed(
    picture: Picture, frame: tuple[int, int], fill: float, out: np.ndarray | None
) -> tuple[np.ndarray, Letterbox]:
    high, wide = picture.source_hw
    scale = min(frame[0] / high, frame[1] / wide)
    # at least one pixel is kept of a strip that is thinner than that
    inner = (min(frame[0], max(1, round(high * scale))), min(frame[1], max(1, round(wide * scale))))
    top, left = (frame[0] - inner[0]) // 2, (frame[1] - inner[1]) // 2
    place = Letterbox(picture.source_hw, frame, (inner[0] / high, inner[1] / wide), (float(top), float(left)))
    small = resized(picture.values, inner)
    if inner == frame:
        return small, place
    fits = out is not None and out.dtype == small.dtype and out.shape == (*frame, small.shape[2])
    whole = out if out is not None and fits else np.empty((*frame, small.shape[2]), small.dtype)
    edge, bottom, right = _as_dtype(fill, small.dtype), top + inner[0], left + inner[1]
    whole[:top], whole[bottom:] = edge, edge
    whole[top:bottom, :left], whole[top:bottom, right:] = edge, edge
    whole[top:bottom, left:right] = small
    return whole, place


def _cropped(picture: Picture, frame: tuple[int, int]) -> tuple[np.ndarray, Letterbox]:
    high, wide = picture.source_hw
    scale = max(frame[0] / high, frame[1] / wide)
    kept = (frame[0] / scale, frame[1] / scale)  # the window, in the picture's own pixels
    top, left = (high - kept[0]) / 2, (wide - kept[1]) / 2
    down, across = picture.values.shape[0] / high, picture.values.shape[1] / wide  # reduced decoding
    box = (left * across, top * down, (left + kept[1]) * across, (top + kept[0]) * down)
    place = Letterbox(picture.source_hw, frame, (scale, scale), (-top * scale, -left * scale))
    return resized(picture.values, frame, box), place


def _as_dtype(fill: float, dtype: np.dtype) -> float:
    return float(np.clip(round(fill), 0, 255)) if dtype == np.uint8 else fill


def resized(values: np.ndarray, hw: tuple[int, int], box: _Box | None = None) -> np.ndarray:
    """Resize (h, w, c), uint8 or float, to (*hw, c); `box` (left, top, right, bottom) takes a part of it.

    Float values keep their range: the filter has no negative lobes.
    """
    high, wide, channels = values.shape
    if (high, wide) == hw and (box is None or box == (0.0, 0.0, wide, high)):
        return values
    if box is not None:  # rounding may lie a hair outside, which Pillow refuses
        box = (max(0.0, box[0]), max(0.0, box[1]), min(float(wide), box[2]), min(float(high), box[3]))
    if values.dtype == np.uint8 and channels in (1, 3):
        image = Image.fromarray(values if channels == 3 else values[:, :, 0])
        out = np.asarray(image.resize((hw[1], hw[0]), Image.Resampling.BILINEAR, box=box))
        return out if channels == 3 else out[:, :, None]
    planes = []
    for channel in range(channels):
        plane = Image.fromarray(np.ascontiguousarray(values[:, :, channel], np.float32))
        planes.append(np.asarray(plane.resize((hw[1], hw[0]), Image.Resampling.BILINEAR, box=box)))
    out = np.stack(planes, axis=-1)
    return np.round(out).astype(np.uint8) if values.dtype == np.uint8 else out.astype(np.float32, copy=False)
