"""The reliability chart: how sure the network is against how often it is right."""

from __future__ import annotations

from convscope.draw.axes import BOTTOM, HEIGHT, LEFT, RIGHT, WIDTH, across, grid, upward, x_title
from convscope.draw.numbers import percent, percent_tick
from convscope.draw.svg import ACCENT, INK3, SUNK, line, rect, svg_figure, tag, text
from convscope.records.figure import Figure


def reliability_figure(bins: dict[str, list[float]], *, caption: str = "", unit: str = "pictures") -> Figure:
    """Dots on the dashed line say what they mean; below it the network is too sure, above it too modest.

    Args:
        bins: "confidence", "accuracy" (0..1) and "count" per bin, as in Scores.reliability.
        caption: small words below.
        unit: what is counted.
    """
    x, y = across(0.0, 1.0), upward(0.0, 1.0)
    parts = grid(x, y, ([0, 0.25, 0.5, 0.75, 1], [0, 0.25, 0.5, 0.75, 1]), y_words=percent_tick)
    parts.append(line(LEFT, BOTTOM, RIGHT, y.at(1), stroke=INK3, stroke_dasharray="4 4"))
    largest = max(bins["count"], default=1.0)
    points = sorted(zip(bins["confidence"], bins["accuracy"], bins["count"]))
    for confidence, _, n in points:
        high = 40 * n / largest
        parts.append(rect(x.at(confidence) - 6, BOTTOM - high, 12, high, fill=SUNK, hint=f"{n:.0f} {unit}"))
    path = "M" + "L".join(f"{x.at(c):.1f},{y.at(a):.1f}" for c, a, _ in points)
    if points:
        parts.append(tag("path", {"d": path, "fill": "none", "stroke": ACCENT, "stroke_width": 1.5}))
    for confidence, accuracy, n in points:
        hint = f"{n:.0f} {unit}: says {percent(confidence)}, right {percent(accuracy)}"
        dot = {"cx": x.at(confidence), "cy": y.at(accuracy), "r": 4, "fill": ACCENT}
        parts.append(tag("circle", dot, tag("title", None, hint)))
    parts += [x_title("how sure it says it is"), text(LEFT + 6, y.at(1) + 12, "too modest", fill=INK3)]
    parts.append(text(RIGHT - 4, BOTTOM - 46, "too sure", text_anchor="end", fill=INK3))
    told = "; ".join(f"{n:.0f} {unit} say {percent(c)} and {percent(a)} are right" for c, a, n in points)
    words = ("How sure, how right", f"Reliability chart: {told}.", caption)
    return svg_figure(parts, width=WIDTH, height=HEIGHT, words=words)
