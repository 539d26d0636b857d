"""Masks over pictures: classes as thin colour, their outlines solid where found and dashed where true."""

from __future__ import annotations

import numpy as np

from convscope.arrays.resize import enlarge
from convscope.arrays.surface import inner_edge
from convscope.draw.colour import CLASS_COLOURS
from convscope.draw.png import as_rgb
from convscope.errors import DataError
from convscope.records.masks import VOID

_DASH, _GAP = 5, 4
_FILL = 0.28
_INK = (21, 24, 28)
_VOID_GREY = 128


def mask_colours(classes: int) -> np.ndarray:
    """(classes, 3) uint8; the background, class 0, has none of its own and is black. Colours repeat after eight."""
    table = np.zeros((classes, 3), np.uint8)
    for c in range(1, classes):
        word = CLASS_COLOURS[(c - 1) % len(CLASS_COLOURS)]
        table[c] = [int(word[i : i + 2], 16) for i in (1, 3, 5)] if word.startswith("#") else _INK
    return table


def mask_overlay(
    picture: np.ndarray,
    found: np.ndarray | None,
    truth: np.ndarray | None = None,
    *,
    classes: int,
    longest_px: int = 360,
    fill: bool = True,
) -> np.ndarray:
    """Draw masks over a picture -> (h, w, 3) uint8, enlarged by a whole factor until it is at most `longest_px` long.

    Found regions are tinted and outlined by a solid line; true ones by a dashed white and black line, so that both can
    be told apart in any colour. Void of the truth is hatched grey.

    Args:
        picture: (h, w, 1 or 3) in 0..255.
        found: (h, w) class index, or None.
        truth: (h, w) class index with VOID, or None.
        classes: how many there are.
        longest_px: of the drawing; a larger picture stays as it is.
        fill: tint the found regions.

    Raises:
        DataError: a mask of another size.
    """
    rgb = as_rgb(picture)
    for name, mask in (("found", found), ("true", truth)):
        if mask is not None and mask.shape != rgb.shape[:2]:
            raise DataError(f"expected a {name} mask of {rgb.shape[:2]} pixels as its picture, got {mask.shape}")
    factor = max(1, longest_px // max(rgb.shape[:2]))
    drawn = enlarge(rgb, factor).astype(np.float64)
    colours = mask_colours(classes)
    large = [None if m is None else enlarge(m, factor) for m in (found, truth)]
    if large[1] is not None:
        _hatch(drawn, large[1] == VOID)
    for c in range(1, classes):
        if large[0] is not None and (region := large[0] == c).any():
            if fill:
                drawn[region] = (1 - _FILL) * drawn[region] + _FILL * colours[c]
            drawn[_line(region, factor)] = colours[c]
    for c in range(1, classes):
        if large[1] is not None and (region := large[1] == c).any():
            _dashed(drawn, _line(region, factor))
    return np.round(drawn).astype(np.uint8)


def _line(region: np.ndarray, factor: int) -> np.ndarray:
    """The inner edge, two pixels wide on enlarged pictures."""
    edge = inner_edge(region)
    return edge | (inner_edge(region & ~edge) if factor > 2 else False)


def _dashed(drawn: np.ndarray, line: np.ndarray) -> None:
    """White dashes with black between them, by the place in the picture: no path has to be followed."""
    rows, columns = np.nonzero(line)
    is_dash = (rows + columns) % (_DASH + _GAP) < _DASH
    drawn[rows[is_dash], columns[is_dash]] = 255
    drawn[rows[~is_dash], columns[~is_dash]] = 0


def _hatch(drawn: np.ndarray, void: np.ndarray) -> None:
    rows, columns = np.nonzero(void)
    on = (rows - columns) % 6 < 2
    drawn[rows[on], columns[on]] = _VOID_GREY
