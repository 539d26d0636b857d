"""Bars with their numbers, and dots with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

from convscope.draw.axes import Scale
from convscope.draw.colour import class_colour
from convscope.draw.numbers import count, percent, percent_tick, short
from convscope.draw.svg import ACCENT, INK, INK2, INK3, LINE, LINE2, line, rect, svg_figure, tag, text
from convscope.records.figure import Figure
from convscope.records.prediction import Scored

WIDTH, LABEL, ROW = 340, 104, 22


def class_bars_figure(
    classes: dict[str, int], *, colours: Sequence[int] = (), caption: str = "", of: str = "Pictures"
) -> Figure:
    """Pictures (or what `of` says) per class; at most the 24 largest classes are drawn, the rest counted.

    Args:
        classes: name -> count, in the order to draw.
        colours: class index of each name, so that colours agree with other charts; empty for one grey.
        caption: small words below.
        of: what is counted, in the plural.
    """
    shown = list(classes.items())[:24]
    total, largest = max(1, sum(classes.values())), max(1, *classes.values())
    parts = []
    for i, (name, n) in enumerate(shown):
        y = 2 + i * ROW
        colour, hollow = class_colour(colours[i]) if colours else (INK2, False)
        parts.append(text(0, y + 14, short(name, 16), fill=INK, font_weight=600))
        look = {"fill": colour, "fill_opacity": 0.25 if hollow else 1, "stroke": colour}
        parts.append(rect(LABEL, y + 5, 130 * n / largest, 11, **look))
        parts.append(text(WIDTH, y + 14, f"{count(n)} · {percent(n / total)}", text_anchor="end", fill=INK))
    rest = len(classes) - len(shown)
    if rest:
        parts.append(text(0, 2 + len(shown) * ROW + 14, f"and {rest} more classes", fill=INK3))
    told = ", ".join(f"{name} {n}" for name, n in shown)
    words = ("Classes", f"{of} per class: {told}" + (f" and {rest} more classes." if rest else "."), caption)
    return svg_figure(parts, width=WIDTH, height=8 + (len(shown) + bool(rest)) * ROW, words=words)


def _whisker(y: float, at: float, low: float, high: float) -> list[str]:
    return [
        line(low, y, high, y, stroke=ACCENT, stroke_width=2),
        line(low, y - 4, low, y + 4, stroke=ACCENT, stroke_width=2),
        line(high, y - 4, high, y + 4, stroke=ACCENT, stroke_width=2),
        tag("circle", {"cx": at, "cy": y, "r": 4, "fill": ACCENT}),
    ]


def interval_figure(
    title: str, rows: Sequence[tuple[str, Scored]], *, guess: float | None = None, caption: str = ""
) -> Figure:
    """Shares in 0..1 as dots with their 95 % intervals; `guess` is a dashed line at what guessing scores."""
    left, right = 174.0, 290.0
    height = 30 + 24 * len(rows)
    place = Scale(0.0, 1.0, left, right).at
    parts = []
    for tick in (0, 0.5, 1):
        parts += [
            line(place(tick), 4, place(tick), height - 22, stroke=LINE),
            text(place(tick), height - 8, percent_tick(tick), text_anchor="middle", fill=INK3),
        ]
    if guess is not None:
        parts.append(line(place(guess), 4, place(guess), height - 22, stroke=INK3, stroke_dasharray="2 3"))
    told = []
    for i, (name, scored) in enumerate(rows):
        y = 16.0 + 24 * i
        parts.append(text(0, y + 4, short(name, 31), fill=INK))
        low, high = scored.low, scored.high
        ends = (low, high) if low is not None and high is not None else (scored.value, scored.value)
        parts += _whisker(y, place(scored.value), place(ends[0]), place(ends[1]))
        parts.append(text(WIDTH, y + 4, percent(scored.value), text_anchor="end", fill=INK, font_weight=600))
        told.append(
            f"{name} {percent(scored.value)}"
            + (f" ({percent(ends[0])} to {percent(ends[1])})" if low is not None else "")
        )
    parts.append(line(left, height - 22, right, height - 22, stroke=LINE2))
    return svg_figure(parts, width=WIDTH, height=height, words=(title, f"{title}: {'; '.join(told)}.", caption))
