"""Learning curves and other lines over epochs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

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
    round_ticks,
    round_top,
    tick_words,
    upward,
    whole_ticks,
    x_title,
)
from convscope.draw.numbers import percent, percent_tick, three
from convscope.draw.svg import ACCENT, INK2, INK3, LINE2, line, svg_figure, tag, text
from convscope.records.figure import Figure

Column = list[float | None]


@dataclass(frozen=True)
class Curve:
    """One line over epochs 1, 2, ...; None leaves a gap. `is_main` draws it in the accent, on top.

    `band` is (low, high), each as long as `values`: a 95 % interval drawn as a pale area.
    """

    name: str
    values: Column
    is_main: bool = False
    band: tuple[Column, Column] | None = None


@dataclass(frozen=True)
class Marks:
    """What else stands in the chart: the best epoch, the level of guessing, and (name, first epoch) of each phase."""

    best_epoch: int | None = None
    chance: float | None = None
    phases: tuple[tuple[str, int], ...] = ()


def _real(values: Column) -> list[float]:
    return [v for v in values if v is not None and math.isfinite(v)]


def _runs(x: Scale, y: Scale, values: Column) -> list[list[tuple[float, float]]]:
    """Points in pixels, cut where a value is missing."""
    runs: list[list[tuple[float, float]]] = [[]]
    for epoch, value in enumerate(values, start=1):
        if value is None or not math.isfinite(value):
            runs.append([])
        else:
            runs[-1].append((x.at(epoch), y.at(value)))
    return [r for r in runs if r]


def _path(points: list[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{px:.1f},{py:.1f}" for px, py in points)


def _draw_curve(x: Scale, y: Scale, curve: Curve) -> list[str]:
    colour = ACCENT if curve.is_main else INK2
    parts = []
    if curve.band is not None:
        for low, high in zip(_runs(x, y, curve.band[0]), _runs(x, y, curve.band[1])):
            area = _path(low) + "L" + "L".join(f"{px:.1f},{py:.1f}" for px, py in reversed(high)) + "Z"
            parts.append(tag("path", {"d": area, "fill": colour, "fill_opacity": "0.15"}))
    width = 2 if curve.is_main else 1.5
    dash = None if curve.is_main else "5 3"
    for run in _runs(x, y, curve.values):
        parts.append(
            tag(
                "path",
                {
                    "d": _path(run),
                    "fill": "none",
                    "stroke": colour,
                    "stroke_width": width,
                    "stroke_dasharray": dash,
                    "stroke_linejoin": "round",
                },
            )
        )
        parts.append(tag("circle", {"cx": run[-1][0], "cy": run[-1][1], "r": 3, "fill": colour}))
    return parts


def _draw_marks(x: Scale, y: Scale, marks: Marks, chance_words: str) -> list[str]:
    parts = []
    for name, first in marks.phases:
        at = x.at(max(first - 0.5, x.low))
        if first > 1:
            parts.append(line(at, TOP, at, BOTTOM, stroke=LINE2))
        if len(marks.phases) > 1:
            parts.append(text(at + 3, BOTTOM - 4, name, fill=INK3, font_size=10))
    if marks.best_epoch is not None:
        at = x.at(marks.best_epoch)
        side = "end" if at > (LEFT + RIGHT) / 2 else "start"
        parts.append(line(at, TOP, at, BOTTOM, stroke=INK3, stroke_dasharray="2 3"))
        parts.append(
            text(at + (-4 if side == "end" else 4), TOP - 6, f"best, epoch {marks.best_epoch}", text_anchor=side)
        )
    if marks.chance is not None:
        at = y.at(marks.chance)
        parts.append(line(LEFT, at, RIGHT, at, stroke=INK3, stroke_dasharray="2 3"))
        parts.append(text(RIGHT, at - 4, chance_words, text_anchor="end"))
    return parts


def _legend(curves: list[Curve], say: Callable[[float], str]) -> list[str]:
    parts, at = [], LEFT
    for curve in curves:
        last = _real(curve.values)
        words = f"{curve.name} {say(last[-1])}" if last else curve.name
        colour = ACCENT if curve.is_main else INK2
        dash = None if curve.is_main else "5 3"
        parts.append(line(at, HEIGHT + 8, at + 16, HEIGHT + 8, stroke=colour, stroke_width=2, stroke_dasharray=dash))
        parts.append(text(at + 21, HEIGHT + 12, words))
        at += 34 + 6.1 * len(words)
    return parts


def curves_figure(
    title: str, curves: list[Curve], *, is_share: bool, marks: Marks | None = None, caption: str = ""
) -> Figure:
    """Lines over epochs with a legend that says the last values.

    Args:
        title: what the lines are ("Loss").
        curves: at least one; all count epochs from 1.
        is_share: True for 0..1 shown as percent, False for numbers from 0 up (or down to the smallest).
        marks: best epoch, chance level, phases.
        caption: small words below.
    """
    marks = marks or Marks()
    say = percent if is_share else three
    values = [v for c in curves for v in _real(c.values)] or [0.0]
    last = max(2, *(len(c.values) for c in curves))
    x = across(1, last)
    bottom = min(0.0, *values) if len(values) > 1 else 0.0
    y = upward(bottom, 1.0 if is_share else round_top(bottom, max(_robust_top(values), 1e-12)))
    y_ticks = [0, 0.25, 0.5, 0.75, 1] if is_share else round_ticks(y.low, y.high, most=5)
    words = percent_tick if is_share else tick_words
    parts = grid(x, y, (whole_ticks(1, last), y_ticks), y_words=words)
    parts += _draw_marks(x, y, marks, f"chance {say(marks.chance)}" if marks.chance is not None else "")
    for curve in sorted(curves, key=lambda c: c.is_main):
        parts += _draw_curve(x, y, curve)
    parts += [x_title("epoch"), *_legend(curves, say)]
    if not is_share and max(values) > y.high:
        parts.append(text(LEFT + 4, TOP + 10, f"highest {three(max(values))}, above the frame", fill=INK3))
    told = "; ".join(_told(c, say) for c in curves)
    best = f" Best epoch {marks.best_epoch}." if marks.best_epoch else ""
    return svg_figure(
        parts, width=WIDTH, height=HEIGHT + 20, words=(title, f"{title} over {last} epochs: {told}.{best}", caption)
    )


def _told(curve: Curve, say: Callable[[float], str]) -> str:
    real = _real(curve.values)
    if not real:
        return f"{curve.name} has no values"
    return f"{curve.name} from {say(real[0])} to {say(real[-1])}, lowest {say(min(real))}, highest {say(max(real))}"


def _robust_top(values: list[float]) -> float:
    """The largest value, unless a few outliers would flatten the rest: then four times the median."""
    ordered = sorted(values)
    middle = ordered[len(ordered) // 2]
    return ordered[-1] if middle <= 0 or ordered[-1] <= 8 * middle else 4 * middle
