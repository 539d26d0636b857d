"""How much each parameter mattered, as bars; all trials: their curves, and cost against what they reached."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from convscope.draw.axes import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    across,
    grid,
    round_ticks,
    round_top,
    upward,
    whole_ticks,
    x_title,
)
from convscope.draw.numbers import percent, short, three
from convscope.draw.svg import ACCENT, INK, INK2, INK3, line, rect, svg_figure, tag, text
from convscope.records.figure import Figure

_LABEL, _ROW = 150, 22


def importance_figure(shares: Mapping[str, float], *, caption: str = "") -> Figure:
    """Bars of shares in 0..1, largest first; at most the twelve largest."""
    shown = sorted(shares.items(), key=lambda pair: -pair[1])[:12]
    top = max([share for _, share in shown] or [1.0]) or 1.0
    parts = []
    for row, (name, share) in enumerate(shown):
        y = 2 + row * _ROW
        parts.append(text(0, y + 14, short(name, 24), fill=INK, font_weight=600))
        parts.append(rect(_LABEL, y + 5, 130 * share / top, 11, fill=ACCENT if row == 0 else INK2))
        parts.append(text(WIDTH, y + 14, percent(share), text_anchor="end", fill=INK))
    told = "; ".join(f"{name} {percent(share)}" for name, share in shown)
    words = ("Importance", f"Share of the differences between good and other trials: {told}.", caption)
    return svg_figure(parts, width=WIDTH, height=8 + max(1, len(shown)) * _ROW, words=words)


def trial_curves_figure(
    title: str, curves: Sequence[tuple[float, ...]], *, best: int, given_up: Sequence[bool], caption: str = ""
) -> Figure:
    """The metric of every trial over its epochs: grey, the best in the accent; a ring where one was given up.

    Args:
        title: the metric.
        curves: per trial, best value so far after epoch 1, 2, ...
        best: index of the best trial.
        given_up: per trial.
        caption: small words below.
    """
    values = [v for c in curves for v in c if math.isfinite(v)] or [0.0]
    last = max(2, *(len(c) for c in curves)) if curves else 2
    low, high = _frame(values)
    x, y = across(1, last), upward(low, high)
    parts = grid(x, y, (whole_ticks(1, last), round_ticks(low, high, most=5)))
    for index in sorted(range(len(curves)), key=lambda i: i == best):
        points = [(x.at(e), y.at(v)) for e, v in enumerate(curves[index], start=1) if math.isfinite(v)]
        if points:
            parts += _curve(points, is_best=index == best, given_up=given_up[index])
    parts += [
        x_title("epoch"),
        line(LEFT, HEIGHT + 8, LEFT + 16, HEIGHT + 8, stroke=ACCENT, stroke_width=2),
        text(LEFT + 21, HEIGHT + 12, "best trial"),
    ]
    if any(given_up):
        parts += [
            tag("circle", {"cx": LEFT + 108, "cy": HEIGHT + 8, "r": 3, "fill": "none", "stroke": INK2}),
            text(LEFT + 116, HEIGHT + 12, "given up early"),
        ]
    told = (
        f"{title} over epochs of {len(curves)} trials, {sum(given_up)} given up early; all values from "
        f"{three(min(values))} to {three(max(values))}."
    )
    return svg_figure(parts, width=WIDTH, height=HEIGHT + 20, words=(title, told, caption))


def _curve(points: list[tuple[float, float]], *, is_best: bool, given_up: bool) -> list[str]:
    colour = ACCENT if is_best else INK2
    path = "M" + "L".join(f"{px:.1f},{py:.1f}" for px, py in points)
    look = {
        "fill": "none",
        "stroke": colour,
        "stroke_width": 2 if is_best else 1,
        "stroke_opacity": 1 if is_best else 0.5,
    }
    parts = [tag("path", {"d": path, **look})]
    end_x, end_y = points[-1]
    if given_up:
        parts.append(tag("circle", {"cx": end_x, "cy": end_y, "r": 3, "fill": "none", "stroke": colour}))
    elif is_best or len(points) == 1:
        parts.append(tag("circle", {"cx": end_x, "cy": end_y, "r": 3 if is_best else 2, "fill": colour}))
    return parts


def _frame(values: Sequence[float]) -> tuple[float, float]:
    """Ends of the upright axis: round numbers around the values, a few outliers left outside."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[min(len(ordered) - 1, math.ceil(0.97 * len(ordered)))]
    if high <= low:
        high = low + (abs(low) or 1.0)
    ticks = round_ticks(low, high, most=5)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else high - low
    return math.floor(low / step) * step, round_top(low, high)


def cost_figure(
    title: str, points: Sequence[tuple[float, float, str]], *, best: int, cost: str = "seconds", caption: str = ""
) -> Figure:
    """What each complete trial reached against what it cost; the best in the accent.

    Args:
        title: the metric.
        points: (cost, value, hint) per complete trial.
        best: index of the best.
        cost: the unit along the bottom.
        caption: small words below.
    """
    costs, values = [p[0] for p in points] or [1.0], [p[1] for p in points] or [0.0]
    low, high = _frame(values)
    x, y = across(0, round_top(0, max(max(costs), 1e-9))), upward(low, high)
    parts = grid(x, y, (round_ticks(0, x.high, most=5), round_ticks(low, high, most=5)))
    for index in sorted(range(len(points)), key=lambda i: i == best):
        spent, value, hint = points[index]
        is_best = index == best
        look = {"cx": x.at(spent), "cy": y.at(value), "r": 5 if is_best else 3.5, "fill": ACCENT if is_best else INK2}
        parts.append(tag("circle", {**look, "fill_opacity": 1 if is_best else 0.6}, f"<title>{_escaped(hint)}</title>"))
    parts += [x_title(cost), text(LEFT, TOP - 6, "best trial in colour", fill=INK3, font_size=10)]
    parts.append(line(LEFT, BOTTOM, RIGHT, BOTTOM))
    told = (
        f"{title} against {cost} of {len(points)} complete trials; cost from {three(min(costs))} to "
        f"{three(max(costs))}, {title} from {three(min(values))} to {three(max(values))}."
    )
    return svg_figure(parts, width=WIDTH, height=HEIGHT, words=(f"{title} against cost", told, caption))


def _escaped(words: str) -> str:
    from html import escape

    return escape(words)
