"""Mean score while pixels are brought in or taken away, one line per method, with the names below."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from convscope.draw.axes import HEIGHT, LEFT, WIDTH, across, grid, round_ticks, round_top, upward, x_title
from convscope.draw.colour import class_colour
from convscope.draw.numbers import percent_tick, short, three
from convscope.draw.svg import INK, INK3, line, svg_figure, tag, text
from convscope.records.figure import Figure

MOST = 8
COLUMN, ROW = 148, 16


def removal_figure(title: str, curves: Mapping[str, np.ndarray], *, grey: str = "", caption: str = "") -> Figure:
    """Lines over the share of pixels, 0 to 1; at most eight are drawn.

    Args:
        title: "Insertion" or "Deletion".
        curves: name -> (steps + 1,) mean score, evenly spaced over the share of pixels.
        grey: name of the line drawn in grey (chance).
        caption: small words below.
    """
    shown = list(curves.items())[:MOST]
    values = np.concatenate([v for _, v in shown])
    low, high = min(0.0, float(values.min())), max(1e-9, float(values.max()))
    is_share = low >= 0 and high <= 1
    x = across(0.0, 1.0)
    y = upward(0.0, 1.0) if is_share else upward(low, round_top(low, high))
    ticks = [0, 0.25, 0.5, 0.75, 1] if is_share else round_ticks(y.low, y.high, most=5)
    shares: list[float] = [0, 0.25, 0.5, 0.75, 1]
    parts = grid(x, y, (shares, ticks), y_words=percent_tick if is_share else three)
    parts += [x_title("share of the pixels"), text(LEFT + 4, 14, "mean score", fill=INK3)]
    for i, (name, curve) in enumerate(shown):
        colour = INK3 if name == grey else class_colour(i)[0]
        dash = "2 3" if name == grey else None if i == 0 else f"{2 + 2 * i} 2"
        places = np.linspace(0, 1, len(curve))
        path = "M" + "L".join(f"{x.at(float(p)):.1f},{y.at(float(v)):.1f}" for p, v in zip(places, curve))
        look = {"stroke": colour, "stroke_width": 2, "stroke_dasharray": dash}
        parts.append(tag("path", {"d": path, "fill": "none", **look}))
        left, down = LEFT + (i % 2) * COLUMN, HEIGHT + 10 + (i // 2) * ROW
        parts += [line(left, down - 4, left + 20, down - 4, **look), text(left + 26, down, short(name, 18), fill=INK)]
    told = ", ".join(f"{name} mean {three(float(v.mean()))}" for name, v in shown)
    height = HEIGHT + 12 + ROW * -(-len(shown) // 2)
    left_out = f" {len(curves) - MOST} more not drawn." if len(curves) > MOST else ""
    return svg_figure(
        parts, width=WIDTH, height=height, words=(title, f"{title}: {told}.{left_out}", caption + left_out)
    )
