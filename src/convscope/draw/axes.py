"""The frame of a chart: round ticks, straight or logarithmic scales, thin grid lines."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from convscope.draw.numbers import MINUS, count
from convscope.draw.svg import INK3, LINE, LINE2, line, text

WIDTH, HEIGHT = 340, 240
LEFT, RIGHT, TOP, BOTTOM = 44.0, 328.0, 18.0, 206.0


@dataclass(frozen=True)
class Scale:
    """Values to pixels along one direction; `start` is where `low` lies, `end` where `high` lies."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def at(self, value: float) -> float:
        """Pixel of a value; values outside are drawn at the edge."""
        low, high = (math.log(self.low), math.log(self.high)) if self.is_log else (self.low, self.high)
        value = math.log(max(value, self.low)) if self.is_log else value
        share = 0.5 if high == low else (value - low) / (high - low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)


def across(low: float, high: float, *, is_log: bool = False) -> Scale:
    """The scale along the bottom."""
    return Scale(low, high, LEFT, RIGHT, is_log)


def upward(low: float, high: float) -> Scale:
    """The scale along the left side, growing upward."""
    return Scale(low, high, BOTTOM, TOP)


def round_ticks(low: float, high: float, *, most: int = 6) -> list[float]:
    """At most about `most` ticks at multiples of 1, 2, 2.5 or 5 times a power of ten, from `low` to `high`."""
    if high <= low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def round_top(low: float, high: float, *, most: int = 5) -> float:
    """The first round tick at or above `high`, so that the frame ends at a number."""
    ticks = round_ticks(low, high, most=most)
    if len(ticks) < 2:
        return high
    step = ticks[1] - ticks[0]
    return ticks[-1] if ticks[-1] >= high - 1e-9 * step else ticks[-1] + step


def whole_ticks(low: int, high: int, *, most: int = 7) -> list[float]:
    """Round ticks at whole numbers, the first value included (epochs start at 1)."""
    step = max(1, math.ceil((high - low) / most))
    nice = next(s for s in (1, 2, 3, 5, 6, 10, 12, 20, 25, 50, 100, 200, 500, 1000, step) if s >= step)
    return [float(low), *(float(v) for v in range(nice, high + 1, nice) if v - low >= nice * 0.5)]


def log_ticks(low: float, high: float) -> list[float]:
    """Doublings of 1, 10, 100 ... that fit, at most seven."""
    ticks = [m * 10.0**p for p in range(-3, 7) for m in (1, 2, 5)]
    inside = [t for t in ticks if low <= t <= high]
    return inside[:: max(1, math.ceil(len(inside) / 7))]


def tick_words(value: float) -> str:
    """A tick as short as it can be ("0.25", "−1", "12 000", "7.5e−4"): more than seven signs would leave the frame."""
    if abs(value) >= 1000:
        return count(round(value))
    words = f"{value:.6g}"
    if "." in words and len(words.lstrip("-")) > 6 and abs(value) < 0.01:
        digits, _, power = f"{value:.5e}".partition("e")
        words = f"{float(digits):g}e{int(power)}"
    return words.replace("-", MINUS)


def grid(
    x: Scale, y: Scale, ticks: tuple[list[float], list[float]], *, y_words: Callable[[float], str] = tick_words
) -> list[str]:
    """Grid lines and tick labels for both directions."""
    parts = []
    for value in ticks[1]:
        at = y.at(value)
        parts += [
            line(LEFT, at, RIGHT, at, stroke=LINE),
            text(LEFT - 6, at + 4, y_words(value), text_anchor="end", fill=INK3),
        ]
    for value in ticks[0]:
        at = x.at(value)
        parts += [
            line(at, BOTTOM, at, BOTTOM + 4, stroke=LINE2),
            text(at, BOTTOM + 16, tick_words(value), text_anchor="middle", fill=INK3),
        ]
    return [*parts, line(LEFT, BOTTOM, RIGHT, BOTTOM, stroke=LINE2)]


def x_title(words: str) -> str:
    """The words below the bottom ticks."""
    return text((LEFT + RIGHT) / 2, BOTTOM + 31, words, text_anchor="middle", fill=INK3)
