"""ROC and precision-recall curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convscope.draw.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, across, grid, upward, x_title
from convscope.draw.colour import class_colour
from convscope.draw.numbers import percent_tick, short
from convscope.draw.svg import INK, INK2, INK3, line, svg_figure, tag, text
from convscope.records.figure import Figure

TICKS = [0, 0.25, 0.5, 0.75, 1]
MOST = 6


def threshold_figure(
    title: str,
    curves: Sequence[tuple[str, np.ndarray, np.ndarray]],
    *,
    axes: tuple[str, str],
    diagonal: bool = False,
    caption: str = "",
    is_legend_left: bool = False,
) -> Figure:
    """One line per class over all thresholds; at most six are drawn.

    Args:
        title: "ROC" or "Precision and recall".
        curves: (name with its area, x in 0..1, y in 0..1).
        axes: words below and at the left.
        diagonal: draw the line of guessing.
        caption: small words below.
        is_legend_left: for lines that fall at the right.
    """
    legend = LEFT + 8 if is_legend_left else RIGHT - 168
    x, y = across(0.0, 1.0), upward(0.0, 1.0)
    parts = grid(x, y, (TICKS, TICKS), y_words=percent_tick)
    if diagonal:
        parts.append(line(LEFT, BOTTOM, RIGHT, TOP, stroke=INK3, stroke_dasharray="4 4"))
    for i, (name, xs, ys) in enumerate(curves[:MOST]):
        colour = class_colour(i)[0] if len(curves) > 1 else INK2
        step = max(1, len(xs) // 400)
        keep = np.unique(np.append(np.arange(0, len(xs), step), len(xs) - 1))
        path = "M" + "L".join(f"{x.at(float(xs[j])):.1f},{y.at(float(ys[j])):.1f}" for j in keep)
        dash = None if i == 0 else f"{2 + 2 * i} 2"
        look = {"d": path, "fill": "none", "stroke": colour, "stroke_width": 2, "stroke_dasharray": dash}
        parts.append(tag("path", look))
        at = BOTTOM - 8 - 14 * (min(len(curves), MOST) - 1 - i)
        parts.append(line(legend, at - 4, legend + 18, at - 4, stroke=colour, stroke_width=2, stroke_dasharray=dash))
        parts.append(text(legend + 23, at, short(name, 26), fill=INK))
    parts += [x_title(axes[0]), text(LEFT + 4, TOP - 4, axes[1], fill=INK3)]
    told = ", ".join(name for name, _, _ in curves[:MOST])
    left_out = f" {len(curves) - MOST} more classes not drawn." if len(curves) > MOST else ""
    words = (title, f"{title} curve: {told}.{left_out}", caption + left_out)
    return svg_figure(parts, width=WIDTH, height=HEIGHT, words=words)
