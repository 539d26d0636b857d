"""The confusion matrix: rows are the truth, columns the answer."""

from __future__ import annotations

import numpy as np

from convscope.draw.numbers import count, percent, short
from convscope.draw.svg import INK, INK2, INK3, LINE, MUST, PANEL, rect, svg_figure, text
from convscope.records.figure import Figure

MOST_NUMBERED = 16
LABEL_PX, SIDE_PX, TURN_BELOW_PX = 84, 340, 60
MOST_NAMED = 40


def _cell(x: float, y: float, side: float, facts: tuple[int, float, bool, str], numbered: bool) -> list[str]:
    n, share, is_right, hint = facts
    colour = INK2 if is_right else MUST
    shade = max(share, 0.12) if n else 0.0  # a single mistake stays visible
    parts = [
        rect(
            x,
            y,
            side - 2,
            side - 2,
            fill=colour,
            fill_opacity=f"{shade:.3f}",
            stroke=colour if n else LINE,
            stroke_opacity="0.5",
            hint=hint,
        )
    ]
    if numbered and (n or side > 40):
        size = 15 if side > 60 else 11 if side > 22 else 9
        ink = PANEL if share > 0.55 else INK if n else INK3
        weight = 600 if is_right else 400
        middle = x + side / 2 - 1
        parts.append(
            text(
                middle,
                y + side / 2 - 1 + size * 0.36,
                count(n),
                text_anchor="middle",
                font_size=size,
                fill=ink,
                font_weight=weight,
            )
        )
        if side > 60:
            parts.append(text(middle, y + side / 2 + 19, percent(share), text_anchor="middle", fill=ink))
    return parts


def _top(side: float) -> float:
    """Where the cells begin: short names stand upright over wide cells, long ones are turned over narrow cells."""
    return 34.0 if side >= TURN_BELOW_PX else 84.0


def _labels(classes: tuple[str, ...], side: float) -> list[str]:
    top = _top(side)
    size = min(11.0, max(7.0, side - 1))
    parts = [text(0, 11, "truth ↓  says →", fill=INK3)]
    for i, name in enumerate(classes):
        middle = (i + 0.5) * side - 1
        parts.append(
            text(LABEL_PX - 6, top + middle + size * 0.36, short(name, 12), text_anchor="end", fill=INK, font_size=size)
        )
        x, y = LABEL_PX + middle, top - 8
        if side >= TURN_BELOW_PX:
            parts.append(text(x, y, short(name, int(side / 6.5)), text_anchor="middle", fill=INK))
        else:
            turn = f"rotate(-90 {x + size * 0.36:.1f} {y:.1f})"
            parts.append(text(x + size * 0.36, y, short(name, 12), fill=INK, font_size=size, transform=turn))
    return parts


def confusion_figure(confusion: np.ndarray, classes: tuple[str, ...], *, caption: str = "") -> Figure:
    """Counts by truth (rows) and answer (columns), shaded by the share of the row; right ones grey, wrong ones red.

    Args:
        confusion: (k, k) counts. With more than 16 classes the numbers stand in the hints only.
        classes: k names.
        caption: small words below.
    """
    k = len(classes)
    side = min((SIDE_PX - LABEL_PX) / k, 128.0)
    numbered = k <= MOST_NUMBERED
    totals = confusion.sum(axis=1)
    parts = _labels(classes, side) if k <= MOST_NAMED else [text(0, 11, "truth ↓  says →", fill=INK3)]
    for row in range(k):
        for column in range(k):
            n = int(confusion[row, column])
            share = n / totals[row] if totals[row] else 0.0
            hint = f"{classes[row]} called {classes[column]}: {n} of {int(totals[row])}"
            parts += _cell(
                LABEL_PX + column * side, _top(side) + row * side, side, (n, share, row == column, hint), numbered
            )
    right, n = int(np.trace(confusion)), int(confusion.sum())
    errors = [
        (int(confusion[i, j]), f"{classes[i]} called {classes[j]} {int(confusion[i, j])} times")
        for i in range(k)
        for j in range(k)
        if i != j and confusion[i, j]
    ]
    worst = "; most often " + ", ".join(w for _, w in sorted(errors, reverse=True)[:3]) if errors else ""
    alt = f"Confusion matrix of {k} classes: {right} of {n} pictures right{worst}."
    words = ("Truth and answer", alt, caption or "Shade: share of the row. Grey: right. Red: wrong.")
    return svg_figure(parts, width=SIDE_PX, height=round(_top(side) + 4 + k * side), words=words)
