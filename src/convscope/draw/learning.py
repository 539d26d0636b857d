"""How each layer learned: gradient, saturation and step size, one row per layer and one column per epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from convscope.draw.colour import css_gradient, viridis
from convscope.draw.numbers import percent, short, three
from convscope.draw.svg import INK, INK2, INK3, LINE2, SUNK, line, rect, svg_figure, tag, text
from convscope.records.figure import Figure
from convscope.records.learning import TOO_LARGE, TOO_SMALL, LearningHistory, troubles

LABEL, PANEL_WIDTH, GAP = 190, 132, 20
TOP, ROW = 66, 15
MOST_ROWS, MOST_COLUMNS = 40, 44


@dataclass(frozen=True)
class _Panel:
    field: str
    title: str
    kinds: tuple[str, ...]  # troubles that are marked in it
    words: Callable[[float], str]
    is_log: bool


_PANELS = (
    _Panel("gradient_norm", "gradient norm", ("vanishing", "exploding"), three, True),
    _Panel("saturated", "saturated units", ("saturated",), percent, False),
    _Panel("update_ratio", "one step / weights", ("still", "fast"), three, True),
)


def learning_figure(history: LearningHistory, *, caption: str = "") -> Figure:
    """Three maps side by side; a cell with trouble carries a dot.

    Args:
        history: at least one epoch; beyond 40 layers those with trouble and evenly spaced others are drawn.
        caption: small words below.
    """
    rows = _rows(history)
    columns = sorted(
        {round(i) for i in np.linspace(0, len(history.epochs) - 1, min(MOST_COLUMNS, len(history.epochs)))}
    )
    bottom = TOP + ROW * len(rows)
    names = [history.layers[i] for i in rows]
    parts = [
        text(LABEL - 8, TOP + ROW * i + 11, short(name, 30), text_anchor="end", fill=INK2)
        for i, name in enumerate(names)
    ]
    for place, panel in enumerate(_PANELS):
        parts += _panel(history, panel, LABEL + place * (PANEL_WIDTH + GAP), (rows, columns))
    unused = LABEL - min(LABEL, 12 + 6.3 * max((min(len(n), 30) for n in names), default=0))
    width = round(LABEL + 3 * PANEL_WIDTH + 2 * GAP + 8 - unused)
    drawing = tag("g", {"transform": f"translate({-unused:.0f},0)"}, *parts)  # no empty column beside short names
    few = f"{len(rows)} of {len(history.layers)} layers" if len(rows) < len(history.layers) else f"{len(rows)} layers"
    told = f"{few}, {_epochs(history)}; a white dot: beyond what is healthy; grey: nothing to measure"
    words = ("Every layer while it learns", _alt(history), " · ".join(w for w in (told, caption) if w))
    return svg_figure([drawing], width=width, height=bottom + 30, words=words)


def _rows(history: LearningHistory) -> list[int]:
    count = len(history.layers)
    if count <= MOST_ROWS:
        return list(range(count))
    bad = {t.layer for states in history.states for t in troubles(states)}
    first = [i for i, name in enumerate(history.layers) if name in bad][:MOST_ROWS]
    evenly = [round(i) for i in np.linspace(0, count - 1, MOST_ROWS - len(first))] if len(first) < MOST_ROWS else []
    return sorted({*first, *evenly})


def _panel(history: LearningHistory, panel: _Panel, left: float, chosen: tuple[list[int], list[int]]) -> list[str]:
    rows, columns = chosen
    table = history.table(panel.field)[np.ix_(rows, columns)]
    low, high = _range(table, panel)
    values = np.log10(np.maximum(table, 1e-300)) if panel.is_log else table
    colours = viridis(np.nan_to_num(values, nan=low, posinf=high), low, high)
    bad = [{t.layer for t in troubles(history.states[c]) if t.kind in panel.kinds} for c in columns]
    step = PANEL_WIDTH / len(columns)
    parts = [text(left, 16, panel.title, fill=INK, font_weight=600), *_bar(left, panel, low, high)]
    for r, row in enumerate(rows):
        for c, column in enumerate(columns):
            x, y, value = left + c * step, TOP + r * ROW, float(table[r, c])
            colour = SUNK if math.isnan(value) else "#{:02x}{:02x}{:02x}".format(*colours[r, c].tolist())
            said = "nothing to measure" if math.isnan(value) else panel.words(value)
            name = history.layers[row]
            hint = f"{name}, epoch {history.epochs[column]}: {said}"
            parts.append(rect(x, y, step + 0.3, ROW - 1.0, fill=colour, hint=hint))
            if name in bad[c]:
                look: dict[str, object] = {"fill": "#ffffff", "stroke": "#15181c", "stroke_width": 1}
                parts.append(tag("circle", {"cx": x + step / 2, "cy": y + ROW / 2 - 0.5, "r": 3, **look}))
    bottom = TOP + ROW * len(rows)
    parts.append(line(left, bottom + 1, left + PANEL_WIDTH, bottom + 1, stroke=LINE2))
    first, last = str(history.epochs[columns[0]]), str(history.epochs[columns[-1]])
    parts.append(text(left, bottom + 15, f"epoch {first}", fill=INK3))
    if last != first:
        parts.append(text(left + PANEL_WIDTH, bottom + 15, last, text_anchor="end", fill=INK3))
    return parts


def _range(table: np.ndarray, panel: _Panel) -> tuple[float, float]:
    """Ends of the colour scale; of logarithms whole decades."""
    if not panel.is_log:
        return 0.0, 1.0
    known = table[np.isfinite(table) & (table > 0)]
    if not len(known):
        return math.log10(TOO_SMALL), math.log10(TOO_LARGE)
    low, high = math.floor(math.log10(known.min())), math.ceil(math.log10(known.max()))
    return float(low), float(max(high, low + 1))


def _bar(left: float, panel: _Panel, low: float, high: float) -> list[str]:
    stops = css_gradient("viridis").split(", ")
    step = PANEL_WIDTH / len(stops)
    ends = [three(10.0**low), three(10.0**high)] if panel.is_log else ["0 %", "100 %"]
    parts = [rect(left + i * step, 24, step + 0.3, 8, fill=colour) for i, colour in enumerate(stops)]
    return [
        *parts,
        text(left, 46, ends[0], fill=INK3),
        text(left + PANEL_WIDTH, 46, ends[1], text_anchor="end", fill=INK3),
    ]


def _epochs(history: LearningHistory) -> str:
    count = len(history.epochs)
    return "1 epoch" if count == 1 else f"{count} epochs"


def _alt(history: LearningHistory) -> str:
    if not history.epochs:
        return "No epoch was watched."
    norms = history.table("gradient_norm")[:, -1]
    known = norms[np.isfinite(norms)]
    ends = (
        f"Gradient norms from {three(float(known.min()))} to {three(float(known.max()))}"
        if len(known)
        else "No gradient"
    )
    bad = sorted({t.layer for t in troubles(history.states[-1])})
    told = f"; trouble at {', '.join(bad[:5])}" if bad else "; no layer in trouble"
    return f"{ends} over {len(history.layers)} layers in epoch {history.epochs[-1]}{told}."
