"""How values spread over the classes: histograms and the scatter of picture sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convscope.draw.axes import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Scale,
    across,
    grid,
    log_ticks,
    round_ticks,
    upward,
    x_title,
)
from convscope.draw.colour import class_colour, class_shape
from convscope.draw.numbers import count, percent_tick, short, three
from convscope.draw.svg import ACCENT, INK2, line, rect, svg_figure, tag, text
from convscope.records.figure import Figure

MOST_COLOURED = 4
MOST_DOTS = 2000


def _groups(truth: np.ndarray, classes: tuple[str, ...], n: int) -> list[tuple[str, int, np.ndarray]]:
    """(name, class index or -1, members): one group per class for few classes, else one for all."""
    if len(truth) == n and 1 < len(classes) <= MOST_COLOURED:
        return [(name, c, np.flatnonzero(truth == c)) for c, name in enumerate(classes)]
    return [("all pictures", -1, np.arange(n))]


def mark(shape: str, x: float, y: float, colour: str) -> str:
    """A mark of a class: shape as well as colour, about 7 px wide."""
    stroke = {"fill": "none", "stroke": colour, "stroke_width": 1.5}
    paths = {
        "triangle": f"M{x:.1f},{y - 4:.1f}l4,7h-8z",
        "diamond": f"M{x:.1f},{y - 4:.1f}l4,4l-4,4l-4,-4z",
        "cross": f"M{x - 3:.1f},{y - 3:.1f}l6,6m0,-6l-6,6",
        "plus": f"M{x - 4:.1f},{y:.1f}h8m-4,-4v8",
        "bar": f"M{x - 4:.1f},{y:.1f}h8",
    }
    if shape == "square":
        return rect(x - 3, y - 3, 6, 6, fill=colour)
    if shape in paths:
        return tag("path", {"d": paths[shape], **stroke})
    return tag("circle", {"cx": x, "cy": y, "r": 3, **(stroke if shape == "ring" else {"fill": colour})})


def _look(index: int) -> tuple[str, str]:
    return ("disc", INK2) if index < 0 else (class_shape(index), class_colour(index)[0])


def _legend(groups: list[tuple[str, int, np.ndarray]]) -> list[str]:
    parts, at = [], LEFT
    for name, index, _ in groups:
        shape, colour = _look(index)
        words = short(name, 16)
        parts += [mark(shape, at + 4, HEIGHT + 12, colour), text(at + 13, HEIGHT + 16, words)]
        at += 28 + 6.2 * len(words)
    return parts


def histogram_figure(
    title: str,
    values: Sequence[float],
    *,
    truth: Sequence[int] = (),
    classes: tuple[str, ...] = (),
    words: tuple[str, str] = ("", ""),
) -> Figure:
    """Share of each class per bin; side by side for up to four classes, else all pictures together.

    Args:
        title: what is counted ("Mean brightness").
        values: one number per picture.
        truth: class index per picture, or empty.
        classes: names by index.
        words: (words below the bottom axis, caption).
    """
    data = np.asarray(values, np.float64)
    groups = _groups(np.asarray(truth), classes, len(data))
    low, high = (float(data.min()), float(data.max())) if len(data) else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1, 17)
    shares = [np.histogram(data[m], edges)[0] / max(1, len(m)) for _, _, m in groups]
    x, y = across(float(edges[0]), float(edges[-1])), upward(0.0, max(0.01, max(float(s.max()) for s in shares)))
    parts = grid(x, y, (round_ticks(x.low, x.high), round_ticks(0, y.high, most=4)), y_words=percent_tick)
    wide = (x.at(edges[1]) - x.at(edges[0]) - 2) / len(groups)
    for g, ((name, index, members), share) in enumerate(zip(groups, shares)):
        for i, s in enumerate(share):
            hint = f"{name}: {s * len(members):.0f} of {len(members)} from {three(edges[i])} to {three(edges[i + 1])}"
            top = y.at(float(s))
            parts.append(rect(x.at(edges[i]) + 1 + g * wide, top, wide, BOTTOM - top, fill=_look(index)[1], hint=hint))
    told = "; ".join(f"{name}: median {three(float(np.median(data[m])))}" for name, _, m in groups if len(m))
    parts += [x_title(words[0]), *_legend(groups)]
    return svg_figure(parts, width=WIDTH, height=HEIGHT + 24, words=(title, f"{title}, histogram. {told}.", words[1]))


def _limits(values: np.ndarray) -> tuple[float, float]:
    return (float(values.min()) / 1.15, float(values.max()) * 1.15) if len(values) else (1.0, 10.0)


def sizes_figure(
    sizes: Sequence[tuple[float, float]],
    *,
    truth: Sequence[int] = (),
    classes: tuple[str, ...] = (),
    input_hw: tuple[int | None, int | None] = (None, None),
    of: str = "pictures",
) -> Figure:
    """Width against height in pixels, both logarithmic; dashed: the planned input.

    Args:
        sizes: (height, width) per picture; above 2,000 pictures every n-th is drawn.
        truth: class index per picture, or empty.
        classes: names by index.
        input_hw: (height, width) of the network frame, or None.
        of: what has these sizes, in the plural ("boxes").
    """
    data = np.asarray(sizes, np.float64).reshape(-1, 2)
    groups = _groups(np.asarray(truth), classes, len(data))
    x = across(*_limits(data[:, 1]), is_log=True)
    y = Scale(*_limits(data[:, 0]), BOTTOM, TOP, is_log=True)
    parts = grid(x, y, (log_ticks(x.low, x.high), log_ticks(y.low, y.high)))
    height, width = input_hw
    if width and x.low < width < x.high:
        parts.append(line(x.at(width), TOP, x.at(width), BOTTOM, stroke=ACCENT, stroke_dasharray="3 3"))
        parts.append(text(x.at(width) + 4, TOP - 6, str(width), fill=ACCENT))
    if height and y.low < height < y.high:
        parts.append(line(LEFT, y.at(height), RIGHT, y.at(height), stroke=ACCENT, stroke_dasharray="3 3"))
    every = max(1, len(data) // MOST_DOTS)
    for _, index, members in groups:
        shape, colour = _look(index)
        parts += [mark(shape, x.at(data[i, 1]), y.at(data[i, 0]), colour) for i in members[::every]]
    parts += [x_title("width × height, px"), *_legend(groups)]
    smaller = int(np.sum((data[:, 0] < (height or 0)) | (data[:, 1] < (width or 0))))
    caption = f"Dashed: {width}, the planned input; {count(smaller)} fall below it." if width else ""
    caption += f" Every {every}th of the {of} drawn." if every > 1 else ""
    high, wide = data[:, 0], data[:, 1]
    spans = f"{wide.min():.0f} to {wide.max():.0f} px wide, {high.min():.0f} to {high.max():.0f} px high"
    title = "Sizes" if of == "pictures" else f"Sizes of {of}"
    words = (title, f"Scatter of sizes: {len(data)} {of}, {spans}.", caption)
    return svg_figure(parts, width=WIDTH, height=HEIGHT + 24, words=words)
