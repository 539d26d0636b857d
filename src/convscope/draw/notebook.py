"""A drawing inside a notebook cell: it scrolls where the cell is narrower."""

from __future__ import annotations

from html import escape

from convscope.records.figure import Figure


def notebook_html(figure: Figure) -> str:
    """The SVG in a box of its own; of another kind of figure its words."""
    inside = figure.data.decode() if figure.media == "svg" else f"<p>{escape(figure.alt)}</p>"
    return f"<div style='overflow-x:auto'>{inside}</div>"
