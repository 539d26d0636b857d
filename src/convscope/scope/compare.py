"""Two models, two epochs or two back ends on the same pictures: largest difference per layer, and similarity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.draw.comparison import comparison_figure
from convscope.draw.notebook import notebook_html
from convscope.draw.numbers import three
from convscope.errors import ModelError
from convscope.records.figure import Figure
from convscope.scope.maps import channels_last
from convscope.scope.paths import Names
from convscope.scope.shown import Table, table
from convscope.scope.similarity import linear_cka
from convscope.scope.tap import Probe


@dataclass(frozen=True)
class Difference:
    """One layer of one model beside one of another.

    Attributes:
        layer, other: their paths.
        largest, mean: of the absolute differences; None where shapes differ.
        relative: largest difference / largest absolute value of the first; None where shapes differ.
        cka: centred kernel alignment, 0..1; NaN with fewer than 3 pictures or where a layer never varies.
    """

    layer: str
    other: str
    largest: float | None
    mean: float | None
    relative: float | None
    cka: float


@dataclass(frozen=True)
class Comparison:
    """All compared layers in the order of the first model; `only_first`, `only_second` had no partner."""

    rows: tuple[Difference, ...]
    only_first: tuple[str, ...] = ()
    only_second: tuple[str, ...] = ()

    def worst(self) -> Difference:
        """The row with the largest relative difference.

        Raises:
            ModelError: no two layers have the same shape.
        """
        known = [r for r in self.rows if r.relative is not None]
        if not known:
            raise ModelError("expected layers of the same shape in both models, found none; look at the CKA instead")
        return max(known, key=lambda r: r.relative or 0.0)

    def table(self) -> Table:
        """As rows of text."""
        cells = [_cells(r) for r in self.rows]
        alone = [f"only in the {w}: {', '.join(n)}" for w, n in _alone(self) if n]
        heads = ("layer", "compared with", "largest difference", "mean", "relative", "CKA")
        return table("layer by layer", heads, cells, "; ".join(alone))

    def __str__(self) -> str:
        """The table."""
        return str(self.table())

    def figure(self, caption: str = "") -> Figure:
        """The chart: largest difference and likeness of each layer."""
        rows = [(r.layer, r.relative, r.cka) for r in self.rows]
        return comparison_figure(rows, caption=caption)

    def _repr_html_(self) -> str:
        """The chart, the table below."""
        return notebook_html(self.figure()) + self.table()._repr_html_()


def compare(
    first: Probe, second: Probe, images: Any, layers: Names = "**", *, pairs: Mapping[str, str] | None = None
) -> Comparison:
    """Run both models on the same pictures and compare layer by layer.

    Args:
        first: one model.
        second: another of the same architecture, or any with `pairs`.
        images: what both take; at least 3 pictures for CKA.
        layers: which layers of the first model.
        pairs: path in the first -> path in the second, where names differ.

    Raises:
        UnknownLayerError, ModelError: as Probe; no layer of the one is in the other.
    """
    names = first.select(layers, images)
    known = {c.name for c in second.calls(images)}
    partner = {n: (pairs or {}).get(n, n) for n in names}
    both = [n for n in names if partner[n] in known]
    if not both:
        raise ModelError("expected a layer name that is in both models, found none; give pairs={'conv1': 'stem', ...}")
    one = first.see(images, tuple(first.place(n) for n in both))
    two = second.see(images, tuple(second.place(partner[n]) for n in both))
    mine = {n: channels_last(one.values[first.place(n)], first.call(n, images)) for n in both}
    yours = {n: channels_last(two.values[second.place(partner[n])], second.call(partner[n], images)) for n in both}
    rows = tuple(difference(n, partner[n], mine[n], yours[n]) for n in both)
    unpaired = tuple(n for n in names if n not in both)
    return Comparison(rows, unpaired, tuple(sorted(known - {partner[n] for n in both})))


def compare_arrays(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> Comparison:
    """The same for activations that were read before, by layer path, each (n, ...)."""
    both = [n for n in first if n in second]
    rows = tuple(difference(n, n, first[n], second[n]) for n in both)
    return Comparison(rows, tuple(n for n in first if n not in second), tuple(n for n in second if n not in first))


def difference(layer: str, other: str, mine: np.ndarray, yours: np.ndarray) -> Difference:
    """Compare two arrays (n, ...) over the same pictures."""
    cka = linear_cka(mine, yours) if len(mine) >= 3 else float("nan")
    if mine.shape != yours.shape:
        return Difference(layer, other, None, None, None, cka)
    gap = np.abs(mine.astype(np.float64) - yours)
    top = float(np.abs(mine).max(initial=0.0))
    largest = float(gap.max(initial=0.0))
    return Difference(layer, other, largest, float(gap.mean()), largest / top if top else float(largest > 0), cka)


def _cells(row: Difference) -> tuple[str, ...]:
    numbers = (row.largest, row.mean, row.relative, row.cka if np.isfinite(row.cka) else None)
    return (row.layer, row.other if row.other != row.layer else "", *("-" if n is None else three(n) for n in numbers))


def _alone(comparison: Comparison) -> list[tuple[str, tuple[str, ...]]]:
    return [("first", comparison.only_first), ("second", comparison.only_second)]
