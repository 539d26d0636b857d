"""A picture with its boxes: as SVG over the picture, sharp at any size, or painted into pixels for files and tiles."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from convscope.draw.box_marks import LABEL_PX, Mark, Shown, box_colour, label_places, label_width, marks_of, told
from convscope.draw.numbers import short
from convscope.draw.png import as_rgb, jpeg_bytes, shrink
from convscope.draw.sheet import data_address
from convscope.draw.svg import INK2, INK3, line, rect, svg_figure, tag, text
from convscope.records.figure import Figure

LONGEST_PX = 640


def boxes_figure(
    picture: np.ndarray, shown: Shown, classes: Sequence[str], *, title: str = "Boxes", longest_px: int = LONGEST_PX
) -> Figure:
    """SVG: the picture (h, w, 1 or 3 in 0..255) as JPEG below, boxes, labels and a legend above it."""
    small = shrink(picture, 2 * longest_px)
    high, wide = np.asarray(picture).shape[:2]
    scale = (
        min(1.0, longest_px / max(high, wide)) if max(high, wide) > longest_px / 4 else longest_px / 4 / max(high, wide)
    )
    width, height = max(1, round(wide * scale)), max(1, round(high * scale))
    look = {
        "x": 0,
        "y": 0,
        "width": width,
        "height": height,
        "href": data_address(jpeg_bytes(small, quality=88), "jpeg"),
    }
    parts = [tag("image", look)]
    marks = marks_of(shown, classes, scale=scale)
    for mark in marks:
        parts += _svg_box(mark)
    for mark, place in zip(marks, label_places(marks, width, height)):
        if place is not None:
            parts += _svg_label(mark, place)
    legend, rows = _legend(shown, classes, width, height)
    words = told(shown, classes)
    caption = "Solid: found. Dashed: truth." if shown.truth is not None and shown.found is not None else ""
    return svg_figure(
        [*parts, *legend], width=width, height=height + rows * 16 + 8, words=(title, f"{title}: {words}.", caption)
    )


def _svg_box(mark: Mark) -> list[str]:
    left, top, right, bottom = mark.xyxy
    dash = "5 4" if mark.is_dashed else None
    size = (left, top, right - left, bottom - top)
    thick = 2.6 if mark.is_strong else 1.6
    halo = rect(
        *size, fill="none", stroke="#ffffff", stroke_width=thick + 1.6, stroke_opacity=0.65, stroke_dasharray=dash
    )
    return [halo, rect(*size, fill="none", stroke=mark.colour, stroke_width=thick, stroke_dasharray=dash)]


def _svg_label(mark: Mark, place: tuple[float, float]) -> list[str]:
    x, y = place
    return [
        rect(
            x, y, label_width(mark), LABEL_PX, fill="#ffffff", fill_opacity=0.88, stroke=mark.colour, stroke_width=0.8
        ),
        text(x + 3, y + 10.5, mark.words, fill="#15181c", font_size=10, font_weight=700 if mark.is_strong else 400),
    ]


def _legend(shown: Shown, classes: Sequence[str], width: int, height: int) -> tuple[list[str], int]:
    """Class colours that occur, and what dashed means, below the picture; (parts, rows)."""
    labels = [b.labels for b in (shown.found, shown.truth) if b is not None]
    present = np.unique(np.concatenate(labels)).tolist() if labels else []
    entries: list[tuple[str, str, str | None]] = [(short(classes[c], 20), box_colour(c), None) for c in present[:12]]
    if shown.truth is not None:
        entries.append(("truth", INK3, "5 4"))
    parts, x, row = [], 4.0, 0
    for name, colour, dash in entries:
        needed = 34 + 6.2 * len(name)
        if x + needed > width and x > 4:
            x, row = 4.0, row + 1
        y = height + 16 + row * 16
        parts.append(line(x, y - 4, x + 18, y - 4, stroke=colour, stroke_width=3, stroke_dasharray=dash))
        parts.append(text(x + 23, y, name, fill=INK2))
        x += needed
    return parts, row + 1


def boxes_picture(
    picture: np.ndarray, shown: Shown, classes: Sequence[str], *, longest_px: int | None = None
) -> np.ndarray:
    """(h, w, 3) uint8: the picture with boxes and labels painted in, for files and tiles.

    Args:
        picture: (h, w, 1 or 3) in 0..255.
        shown: the boxes in its pixels.
        classes: names by index.
        longest_px: size of the longer side of the result; None keeps the picture's own.
    """
    high = np.asarray(picture).shape[0]
    values = as_rgb(picture) if longest_px is None else shrink(picture, longest_px)
    scale = values.shape[0] / high
    image = Image.fromarray(np.ascontiguousarray(values))
    brush = ImageDraw.Draw(image)
    unit = max(1.0, max(image.size) / 640)
    marks = marks_of(shown, classes, scale=scale / unit)
    for mark in marks:
        _paint_box(brush, mark, unit)
    font = ImageFont.load_default(size=round(10 * unit))
    for mark, place in zip(marks, label_places(marks, image.width / unit, image.height / unit)):
        if place is not None:
            _paint_label(brush, mark, (place[0] * unit, place[1] * unit), font, unit)
    return np.asarray(image)


def _paint_box(brush: ImageDraw.ImageDraw, mark: Mark, unit: float) -> None:
    left, top, right, bottom = (v * unit for v in mark.xyxy)
    thick = max(1, round((2.6 if mark.is_strong else 1.6) * unit))
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    for a, b in pairwise(corners):
        for from_xy, to_xy in _dashes(a, b, 6 * unit) if mark.is_dashed else [(a, b)]:
            brush.line([from_xy, to_xy], fill="#ffffff", width=thick + 2)
            brush.line([from_xy, to_xy], fill=mark.colour, width=thick)


def _dashes(
    a: tuple[float, float], b: tuple[float, float], step: float
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Every other stretch of `step` pixels of a line."""
    length = max(abs(b[0] - a[0]), abs(b[1] - a[1]))
    found = []
    for start in np.arange(0, length, 2 * step).tolist():
        end = min(start + step, length)
        found.append(
            (
                (a[0] + (b[0] - a[0]) * start / length, a[1] + (b[1] - a[1]) * start / length),
                (a[0] + (b[0] - a[0]) * end / length, a[1] + (b[1] - a[1]) * end / length),
            )
        )
    return found


def _paint_label(
    brush: ImageDraw.ImageDraw,
    mark: Mark,
    place: tuple[float, float],
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    unit: float,
) -> None:
    x, y = place
    wide = brush.textlength(mark.words, font=font) + 6 * unit
    brush.rectangle((x, y, x + wide, y + LABEL_PX * unit), fill="#ffffff", outline=mark.colour)
    brush.text((x + 3 * unit, y + 1 * unit), mark.words, fill="#15181c", font=font)
