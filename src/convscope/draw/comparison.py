"""Two models layer by layer: how far apart the values are, and how alike the layers are."""

from __future__ import annotations

import math
from collections.abc import Sequence

from convscope.draw.axes import Scale
from convscope.draw.numbers import short, three
from convscope.draw.svg import ACCENT, INK, INK2, INK3, LINE, LINE2, line, rect, svg_figure, tag, text
from convscope.records.figure import Figure

WIDTH, ROW, TOP = 620, 18, 44
LABEL = 196  # where names end
GAP_LEFT, GAP_RIGHT = 206.0, 420.0  # the scale of differences
LIKE_LEFT, LIKE_RIGHT = 484.0, 580.0  # the scale of likeness
MOST_ROWS = 48
_LOWEST = 1e-9

Row = tuple[str, float | None, float]


def comparison_figure(rows: Sequence[Row], *, caption: str = "") -> Figure:
    """One line per layer: its largest difference on a logarithmic scale, and its CKA from 0 to 1.

    Args:
        rows: (layer, largest difference / largest value of the first model or None, CKA or NaN), in network order;
            beyond 48 those that differ most are drawn.
        caption: small words below.
    """
    shown = _most_different(rows)
    known = [r for _, r, _ in shown if r]
    high = 10.0 ** math.ceil(math.log10(max(known, default=1.0)) + 1e-9)
    low = 10.0 ** math.floor(math.log10(max(min(known, default=high / 10), _LOWEST)))
    scale = Scale(min(low, high / 10), high, GAP_LEFT, GAP_RIGHT, is_log=True)
    like = Scale(0.0, 1.0, LIKE_LEFT, LIKE_RIGHT)
    bottom = TOP + ROW * len(shown)
    parts = _frame(scale, like, bottom)
    for i, row in enumerate(shown):
        parts += _row(row, TOP + ROW * i, scale, like)
    worst = max(shown, key=lambda r: r[1] or 0.0, default=("", None, 0.0))
    told = "" if not worst[1] else f"; largest at {worst[0]}: {three(worst[1])} of its largest value"
    left_out = len(rows) - len(shown)
    more = f"the {len(shown)} layers that differ most of {len(rows)}" if left_out else f"{len(rows)} layers"
    unused = LABEL - min(LABEL, 8 + 6.3 * max((min(len(name), 32) for name, _, _ in shown), default=0))
    drawing = tag("g", {"transform": f"translate({-unused:.0f},0)"}, *parts)  # no empty column beside short names
    words = ("Difference and likeness", f"Differences of {more}{told}.", " · ".join(w for w in (more, caption) if w))
    return svg_figure([drawing], width=round(WIDTH - unused), height=int(bottom) + 10, words=words)


def _most_different(rows: Sequence[Row]) -> list[Row]:
    if len(rows) <= MOST_ROWS:
        return list(rows)
    ranked = sorted(range(len(rows)), key=lambda i: -(rows[i][1] or 0.0))[:MOST_ROWS]
    return [rows[i] for i in sorted(ranked)]


def _frame(scale: Scale, like: Scale, bottom: float) -> list[str]:
    parts = [
        text(GAP_LEFT, 16, "largest difference / largest value", fill=INK, font_weight=600),
        text(LIKE_LEFT, 16, "CKA, alike = 1", fill=INK, font_weight=600),
    ]
    decades = range(round(math.log10(scale.low)), round(math.log10(scale.high)) + 1)
    for power in list(decades)[:: max(1, math.ceil(len(decades) / 5))]:
        at = scale.at(10.0**power)
        parts += [line(at, TOP - 6, at, bottom, stroke=LINE), _power(at, power)]
    for value in (0.0, 0.5, 1.0):
        at = like.at(value)
        parts += [
            line(at, TOP - 6, at, bottom, stroke=LINE),
            text(at, TOP - 10, f"{value:g}", text_anchor="middle", fill=INK3),
        ]
    return [*parts, line(GAP_LEFT, bottom, GAP_RIGHT, bottom, stroke=LINE2)]


def _power(at: float, power: int) -> str:
    raised = str(power).translate(str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"))
    return text(at, TOP - 10, f"10{raised}" if power else "1", text_anchor="middle", fill=INK3)


def _row(row: Row, y: float, scale: Scale, like: Scale) -> list[str]:
    name, gap, cka = row
    middle = y + ROW / 2
    parts = [text(LABEL, middle + 4, short(name, 32), text_anchor="end", fill=INK2)]
    if gap is None:
        parts.append(text(GAP_LEFT + 4, middle + 4, "another shape", fill=INK3))
    elif gap == 0:
        parts.append(text(GAP_LEFT + 4, middle + 4, "the same", fill=INK3))
    else:
        at = scale.at(gap)
        hint = tag("title", None, f"{three(gap)} of the largest value")
        parts += [
            line(GAP_LEFT, middle, at, middle, stroke=ACCENT, stroke_width=2),
            tag("circle", {"cx": at, "cy": middle, "r": 4, "fill": ACCENT}, hint),
            text(GAP_RIGHT + 8, middle + 4, three(gap), fill=INK3),
        ]
    if math.isfinite(cka):
        parts.append(rect(LIKE_LEFT, middle - 5, like.at(cka) - LIKE_LEFT, 10, fill=INK2, fill_opacity=0.55))
        parts.append(text(WIDTH - 2, middle + 4, f"{cka:.2f}", text_anchor="end", fill=INK3))
    return parts
