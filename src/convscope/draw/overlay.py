"""Heat over a picture: resized once, drawn at 50 % over grey."""

from __future__ import annotations

import numpy as np

from convscope.arrays.resize import resize_bilinear
from convscope.draw.colour import diverging, viridis
from convscope.draw.png import as_rgb

GREY = np.array([0.299, 0.587, 0.114])  # luma of ITU-R BT.601


def overlay(picture: np.ndarray, heat: np.ndarray, *, signed: bool = False, limit: float | None = None) -> np.ndarray:
    """Lay `heat` over `picture` -> (h, w, 3) uint8.

    Args:
        picture: (h, w, 1 or 3) in 0..255, in the frame that the heat belongs to.
        heat: (rows, columns) of any size; stretched over the whole picture bilinearly.
        signed: diverging colours symmetric about 0 instead of viridis from 0.
        limit: value of the last colour; None takes the largest of this heat (by size when signed).
    """
    rgb = as_rgb(picture)
    grey = np.repeat((rgb @ GREY)[:, :, None], 3, axis=2)
    large = resize_bilinear(np.asarray(heat), *rgb.shape[:2])
    end = float(np.max(np.abs(heat) if signed else heat)) if limit is None else limit
    colours = diverging(large, end) if signed else viridis(large, 0.0, end)
    return np.round(0.5 * grey + 0.5 * colours).astype(np.uint8)
