"""Predicted against true numbers."""

from __future__ import annotations

import numpy as np

from convscope.draw.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, across, grid, round_ticks, upward, x_title
from convscope.draw.numbers import three
from convscope.draw.svg import ACCENT, INK3, line, svg_figure, tag, text
from convscope.records.figure import Figure

MOST_DOTS = 2000


def agreement_figure(name: str, truth: np.ndarray, found: np.ndarray, *, caption: str = "") -> Figure:
    """One dot per picture; on the dashed diagonal prediction and truth are equal.

    Args:
        name: what the numbers are.
        truth: (n,) true numbers.
        found: (n,) predicted numbers; above 2,000 pictures every n-th is drawn.
        caption: small words below.
    """
    both = np.concatenate([truth, found]).astype(np.float64)
    low, high = float(both.min()), float(both.max())
    margin = 0.05 * (high - low) or 1.0
    x, y = across(low - margin, high + margin), upward(low - margin, high + margin)
    ticks = round_ticks(x.low, x.high, most=5)
    parts = [*grid(x, y, (ticks, ticks)), line(LEFT, BOTTOM, RIGHT, TOP, stroke=INK3, stroke_dasharray="4 4")]
    every = max(1, len(truth) // MOST_DOTS)
    for t, f in zip(truth[::every].tolist(), found[::every].tolist()):
        dot = {"cx": x.at(t), "cy": y.at(f), "r": 3, "fill": ACCENT, "fill_opacity": 0.5}
        parts.append(tag("circle", dot, tag("title", None, f"truth {three(t)}, predicted {three(f)}")))
    parts += [x_title("truth"), text(LEFT + 4, TOP - 6, "predicted", fill=INK3)]
    off = float(np.mean(np.abs(truth - found)))
    alt = f"{name}: predicted against true, {len(truth)} pictures, {three(off)} apart on average."
    skipped = f" Every {every}th picture drawn." if every > 1 else ""
    return svg_figure(parts, width=WIDTH, height=HEIGHT, words=(name, alt, caption + skipped))
