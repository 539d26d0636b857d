"""Results that show themselves: drawings in a notebook, plain text in a terminal."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from convscope.draw.notebook import notebook_html
from convscope.draw.numbers import MINUS, NO_BREAK, THIN, percent, three
from convscope.draw.tiles import filter_sheet, map_sheet
from convscope.errors import UnknownLayerError
from convscope.records.features import FeatureMaps, Filters
from convscope.records.figure import Figure
from convscope.registry import nearest
from convscope.scope.maps import channel_statistics
from convscope.scope.silencing import Silenced
from convscope.scope.units import Units

_FIRST_SCREEN = 4  # sheets


class MapSet(tuple[FeatureMaps, ...]):
    """Feature maps of several layers; a tuple that draws itself."""

    __slots__ = ()

    def __str__(self) -> str:
        """One line per layer: shape, and the first channels with their importance."""
        lines = []
        for maps in self:
            first = maps.order[0][:5]
            tops = ", ".join(f"{c} ({three(float(maps.importance[0][c]))})" for c in first)
            lines.append(f"{maps.layer} ({maps.kind}) {maps.maps.shape}: channels by {maps.rank_by}: {tops}")
        return "\n".join(lines)

    def statistics(self, layer: str = "") -> Table:
        """Every channel of one layer over all pictures and places: mean, maximum, zeros, sparsity (Hoyer 2004, 0..1).

        Args:
            layer: one of these layers; the first where not given.

        Raises:
            UnknownLayerError: not among them; names the nearest.
        """
        names = [maps.layer for maps in self]
        if layer and layer not in names:
            raise UnknownLayerError(f"no maps of layer {layer!r} here; {nearest(layer, names)}")
        maps = self[names.index(layer) if layer else 0]
        found = channel_statistics(maps.maps)
        rows = [
            (c, three(float(found.mean[c])), three(float(found.maximum[c])), percent(float(found.zeros[c])),
             three(float(found.sparsity[c])))
            for c in range(maps.maps.shape[-1])
        ]  # fmt: skip
        title = f"{maps.layer}, {len(maps.maps)} pictures"
        return table(title, ("channel", "mean", "maximum", "zeros", "sparsity"), rows)

    def _repr_html_(self) -> str:
        """The best channels of the first picture, layer by layer."""
        return _page((map_sheet(maps, 0) for maps in self[:_FIRST_SCREEN]), len(self))


@dataclass(frozen=True, eq=False)
class ShownFilters(Filters):
    """Filters that draw themselves."""

    def __str__(self) -> str:
        """Shape and norms in words."""
        n, height, width, channels = self.kernels.shape
        low, high = three(float(self.norms.min())), three(float(self.norms.max()))
        return f"{self.layer} ({self.kind}): {n} filters of {height} x {width} x {channels}, norm {low} to {high}"

    def _repr_html_(self) -> str:
        """The kernels as pictures."""
        return _page([filter_sheet(self)], 1)


@dataclass(frozen=True, eq=False)
class FilterReport:
    """Kernels, what they did over a data set, and what silencing each costs (None without labels)."""

    kernels: ShownFilters
    units: Units
    silenced: Silenced | None

    def __str__(self) -> str:
        """Kernels, findings and the filters that matter most, in lines."""
        lines = [str(self.kernels), str(self.units)]
        if self.silenced is not None:
            drops = self.silenced.drops
            worst = ", ".join(f"{c} ({100 * drops[c]:.1f} points)" for c in np.argsort(-drops, kind="stable")[:5])
            lines.append(f"accuracy {100 * self.silenced.accuracy:.1f} %; silencing costs most for {worst}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The kernels as pictures, the findings below."""
        return self.kernels._repr_html_() + f"<pre style='white-space:pre-wrap'>{html.escape(str(self))}</pre>"


def shown_filters(filters: Filters) -> ShownFilters:
    """The same record, able to show itself."""
    return ShownFilters(**{f.name: getattr(filters, f.name) for f in fields(Filters)})


@dataclass(frozen=True)
class Table:
    """Rows of text under headings; numbers are right-aligned in HTML and text."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def __str__(self) -> str:
        """Aligned plain text."""
        table = [self.headings, *self.rows]
        widths = [max(len(row[i]) for row in table) for i in range(len(self.headings))]
        lines = ["  ".join(_aligned(cell, w) for cell, w in zip(row, widths)).rstrip() for row in table]
        return "\n".join([self.title, *lines, *([self.note] if self.note else [])])

    def _repr_html_(self) -> str:
        """A plain HTML table."""
        numeric = [all(_is_number(row[i]) for row in self.rows) for i in range(len(self.headings))]
        aligned = ["right" if n else "left" for n in numeric]
        head = "".join(f"<th{_look(a)}>{html.escape(h)}</th>" for h, a in zip(self.headings, aligned))
        rows = ("".join(f"<td{_look(a)}>{html.escape(c)}</td>" for c, a in zip(row, aligned)) for row in self.rows)
        body = "".join(f"<tr>{cells}</tr>" for cells in rows)
        note = f"<p><small>{html.escape(self.note)}</small></p>" if self.note else ""
        look = "border-collapse:collapse;font:12px/1.5 system-ui,sans-serif;font-variant-numeric:tabular-nums"
        caption = f"<caption style='text-align:left;font-weight:600'>{html.escape(self.title)}</caption>"
        table = f"<table style='{look}'>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f"<div style='overflow-x:auto'>{table}</div>{note}"


def _aligned(cell: str, width: int) -> str:
    is_number = cell.replace(",", "").replace(".", "").replace("-", "").replace("%", "").strip().isdigit()
    return cell.rjust(width) if is_number else cell.ljust(width)


def _is_number(cell: str) -> bool:
    """Also "2.00 × 10⁻⁷", "12 300" and an empty or missing cell."""
    plain = cell.replace(NO_BREAK, " ").replace(THIN, "").partition(" × 10")[0]
    return plain.strip(" -+%,." + MINUS).replace(".", "").replace(",", "").isdigit() or plain in ("", "-")


def _look(aligned: str) -> str:
    return f" style='text-align:{aligned};padding:1px 8px;white-space:nowrap'"


def _page(figures: Iterable[Figure], count: int) -> str:
    parts = [notebook_html(figure) for figure in figures]
    more = f"<p><small>{count - len(parts)} more layers</small></p>" if count > len(parts) else ""
    return "".join(parts) + more


def table(title: str, headings: Sequence[str], rows: Iterable[Sequence[object]], note: str = "") -> Table:
    """A Table of anything that has a text form."""
    return Table(title, tuple(headings), tuple(tuple(str(c) for c in row) for row in rows), note)
