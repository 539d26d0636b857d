"""A strip through a volume: axial, coronal and sagittal slices side by side, each in its true proportions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from convscope.arrays.orientation import PLANES, Grid, Plane, cut
from convscope.draw.contours import mask_overlay
from convscope.draw.png import png_bytes
from convscope.records.report import Sheet, Tile

STRIP_PX = 176
_EDGES: dict[Plane, str] = {"axial": "R left, front above", "coronal": "R left, top above", "sagittal": "front left"}


def volume_strip(
    shown: np.ndarray,
    grid: Grid,
    *,
    found: np.ndarray | None = None,
    truth: np.ndarray | None = None,
    classes: int = 2,
    places: int = 3,
    name: str = "",
) -> tuple[Sheet, ...]:
    """One strip for each plane, through the middle of what is marked, else of the volume.

    Args:
        shown: (left, back, top) values in 0..255, as `Grid.to_lps` turns them and `Greys.apply` scales them.
        grid: of the volume.
        found: labels of the same axes, or None.
        truth: true labels of the same axes, with VOID, or None.
        classes: how many there are.
        places: slices per plane.
        name: the study id, for titles.
    """
    marked = truth if truth is not None and (truth > 0).any() else found
    sheets = []
    for axis, plane in ((2, PLANES[0]), (1, PLANES[1]), (0, PLANES[2])):
        tiles = []
        for index in _chosen(shown.shape[axis], marked, axis, places):
            masks = [None if m is None else cut(m, plane, index) for m in (found, truth)]
            picture = cut(shown, plane, index)
            drawn = _in_proportion(picture, masks, grid.pixel_mm(plane), classes)
            head = f"{plane} {index}"
            alt = f"{name} {head} of {shown.shape[axis]}, {_EDGES[plane]}".strip()
            size = (drawn.shape[1], drawn.shape[0])
            tiles.append(Tile(png_bytes(drawn), "png", *size, alt, head, "", (f"{index + 1} of {shown.shape[axis]}",)))
        note = f"{_EDGES[plane]}; every {grid.gap_mm(plane):.3g} mm one slice"
        sheets.append(Sheet(f"{plane}", tuple(tiles), note=note, is_strip=True))
    return tuple(sheets)


def _chosen(length: int, marked: np.ndarray | None, axis: int, places: int) -> list[int]:
    """Evenly through the marked part; through the inner half of the volume where nothing is marked."""
    low, high = length * 0.25, (length - 1) * 0.75
    if marked is not None:
        held = np.flatnonzero((marked > 0).any(axis=tuple(a for a in range(3) if a != axis)))
        if held.size:
            low, high = float(held[0]), float(held[-1])
    spots = np.linspace(low, high, places + 2)[1:-1]
    return sorted({round(float(s)) for s in spots})


def _in_proportion(
    picture: np.ndarray, masks: Sequence[np.ndarray | None], pixel_mm: tuple[float, float], classes: int
) -> np.ndarray:
    """Resized so that a millimetre is as long down as across, then marked: lines stay thin."""
    high, wide = picture.shape[0] * pixel_mm[0], picture.shape[1] * pixel_mm[1]
    scale = STRIP_PX / max(high, wide)
    size = (max(1, round(wide * scale)), max(1, round(high * scale)))
    grey = Image.fromarray(np.ascontiguousarray(picture.astype(np.float32)))
    large = np.clip(np.asarray(grey.resize(size, Image.Resampling.BILINEAR)), 0, 255)[:, :, None]
    marks = [
        None
        if m is None
        else np.asarray(Image.fromarray(np.ascontiguousarray(m, np.uint8)).resize(size, Image.Resampling.NEAREST))
        for m in masks
    ]
    return mask_overlay(large, marks[0], marks[1], classes=classes, longest_px=STRIP_PX)
