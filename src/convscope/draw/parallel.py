"""Parallel coordinates: one line per trial across its parameters, the last axis what it reached."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convscope.draw.colour import viridis
from convscope.draw.numbers import short, three
from convscope.draw.svg import ACCENT, INK, INK2, INK3, LINE2, line, svg_figure, tag, text
from convscope.records.figure import Figure

LEFT, GAP, TOP, BOTTOM = 56.0, 112.0, 44.0, 250.0
_MOST_WORDS = 12  # more distinct words on one axis would overlap


@dataclass(frozen=True)
class Axis:
    """One upright axis: a parameter's values over all lines; None where a line lacks it.

    Attributes:
        name: of the parameter.
        values: one per line; numbers, or words for choices.
        is_log: numbers only.
    """

    name: str
    values: tuple[float | str | None, ...]
    is_log: bool = False

    def places(self) -> list[float | None]:
        """Share of the axis' height from below, in 0..1, per line."""
        if any(isinstance(v, str) for v in self.values):
            words = self.words()
            return [None if v is None else (words.index(str(v)) + 0.5) / len(words) for v in self.values]
        real = [float(v) for v in self.values if v is not None]
        if not real:
            return [None] * len(self.values)
        scaled = [None if v is None else math.log(float(v)) if self.is_log else float(v) for v in self.values]
        present = [v for v in scaled if v is not None]
        low, high = min(present), max(present)
        return [None if v is None else 0.5 if high == low else (v - low) / (high - low) for v in scaled]

    def words(self) -> list[str]:
        """The distinct words of an axis of choices, sorted; none for numbers."""
        if not any(isinstance(v, str) for v in self.values):
            return []
        return sorted({str(v) for v in self.values if v is not None})


def parallel_figure(axes: Sequence[Axis], result: Axis, *, best: int, is_rising: bool, caption: str = "") -> Figure:
    """One line per trial, coloured by its result (viridis, yellow is best), the best one in the accent on top.

    Args:
        axes: parameters, most important first; at most eight are drawn.
        result: what each line reached; the last axis.
        best: index of the best line.
        is_rising: whether more is better.
        caption: small words below.
    """
    shown = [*axes[:8], result]
    at = [LEFT + i * GAP for i in range(len(shown))]
    places = [axis.places() for axis in shown]
    order = sorted(range(len(result.values)), key=lambda i: (i == best, _share(places[-1][i], is_rising)))
    parts = []
    for index in order:
        points = [(x, BOTTOM - p * (BOTTOM - TOP)) for x, column in zip(at, places) if (p := column[index]) is not None]
        parts.append(_line(points, index == best, _share(places[-1][index], is_rising)))
    for x, axis in zip(at, shown):
        parts += _axis(x, axis)
    width = round(at[-1] + 64)
    told = (
        f"{len(result.values)} trials over {', '.join(a.name for a in axes[:8])}; "
        f"{result.name} from {_ends(result)[0]} to {_ends(result)[1]}; the best trial is drawn last, in the accent."
    )
    return svg_figure(parts, width=width, height=290, words=("Parallel coordinates", told, caption))


def _share(place: float | None, is_rising: bool) -> float:
    """How good a line is, 0..1."""
    return 0.0 if place is None else place if is_rising else 1 - place


def _line(points: list[tuple[float, float]], is_best: bool, share: float) -> str:
    if len(points) < 2:
        return ""
    red, green, blue = viridis(np.asarray(share), 0, 1).tolist()
    path = "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return tag(
        "path",
        {
            "d": path,
            "fill": "none",
            "stroke": ACCENT if is_best else f"#{red:02x}{green:02x}{blue:02x}",
            "stroke_width": 2.5 if is_best else 1.2,
            "stroke_opacity": 1 if is_best else 0.75,
            "stroke_linejoin": "round",
        },
    )


def _axis(x: float, axis: Axis) -> list[str]:
    field, when, condition = axis.name.partition(" when ")
    title = short(field.rpartition(".")[2], 15)  # "rotate_deg" of "augment.rotate_deg": neighbours must not touch
    parts = [
        line(x, TOP, x, BOTTOM, stroke=LINE2, stroke_width=1.5),
        text(x, TOP - (32 if when else 24), title, text_anchor="middle", fill=INK, font_weight=600),
    ]
    if when:
        below = short(f"when {condition}", 20)
        parts.append(text(x, TOP - 20, below, text_anchor="middle", fill=INK3, font_size=9))
    words = axis.words()
    if words:
        for number, word in enumerate(words[:_MOST_WORDS]):
            y = BOTTOM - (number + 0.5) / len(words) * (BOTTOM - TOP)
            parts.append(text(x + 5, y + 4, short(word, 15), fill=INK2, font_size=10))
        return parts
    low, high = _ends(axis)
    parts.append(text(x, BOTTOM + 16, low, text_anchor="middle", fill=INK3))
    parts.append(text(x, TOP - 8, high, text_anchor="middle", fill=INK3))
    if axis.is_log:
        parts.append(text(x, BOTTOM + 31, "log", text_anchor="middle", fill=INK3, font_size=10))
    return parts


def _ends(axis: Axis) -> tuple[str, str]:
    real = [float(v) for v in axis.values if v is not None and not isinstance(v, str)]
    return (three(min(real)), three(max(real))) if real else ("", "")
