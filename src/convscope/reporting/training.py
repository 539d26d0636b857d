"""The chapter on training: curves, phases, the verdict in plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from convscope.draw.curves import Curve, Marks, curves_figure
from convscope.draw.numbers import three
from convscope.metrics.intervals import wilson
from convscope.records.figure import Figure
from convscope.records.provenance import Provenance
from convscope.records.report import Section, Table
from convscope.records.run import History, Verdict
from convscope.reporting.words import duration, metric_words

NO_CURVE = {"epoch", "phase", "seconds", "learning_rate"}


def _column(history: History, name: str) -> list[float | None]:
    return [float(v) if isinstance(v, int | float) else None for v in history.column(name)]


def _real(values: Sequence[float | None]) -> list[float]:
    return [v for v in values if v is not None and math.isfinite(v)]


def lowest_loss_epoch(history: History) -> int | None:
    """The epoch, from 1, with the lowest validation loss (training loss where there is none); None without losses."""
    for name in ("val_loss", "loss"):
        column = _column(history, name)
        if real := _real(column):
            return column.index(min(real)) + 1
    return None


def metric_names(history: History) -> list[str]:
    """The curves to draw: loss first, then every other training metric in its order."""
    names = [n for row in history.epochs for n in row if n not in NO_CURVE and not n.startswith("val_")]
    return sorted(dict.fromkeys(names), key=lambda n: n != "loss")


def _phases(history: History) -> tuple[tuple[str, int], ...]:
    found: list[tuple[str, int]] = []
    for epoch, row in enumerate(history.epochs, start=1):
        name = str(row.get("phase") or "")
        if name and (not found or found[-1][0] != name):
            found.append((name, epoch))
    return tuple(found)


def _band(values: list[float | None], n: int | None) -> tuple[list[float | None], list[float | None]] | None:
    if not n:
        return None
    ends = [(None, None) if v is None or not math.isfinite(v) else wilson(v * n, n) for v in values]
    return [e[0] for e in ends], [e[1] for e in ends]


def curve_figure(history: History, name: str, *, marks: Marks, n_val: int | None, line: str = "") -> Figure:
    """Training and validation curve of one metric; accuracy carries the 95 % band of `n_val` pictures."""
    training, validation = _column(history, name), _column(history, f"val_{name}")
    values = _real(training) + _real(validation)
    counts = "acc" in name
    share = name != "loss" and "error" not in name and bool(values) and min(values) >= 0 and max(values) <= 1
    curves = [Curve("training", training)]
    has_band = False
    if _real(validation):
        band = _band(validation, n_val) if counts and share else None
        has_band = band is not None
        curves.append(Curve("validation", validation, is_main=True, band=band))
    kept = Marks(marks.best_epoch, marks.chance if counts and share else None, marks.phases)
    told = [f"band: 95 % interval on {n_val} pictures" if has_band else "", line]
    return curves_figure(
        metric_words(name), curves, is_share=share, marks=kept, caption=" · ".join(t for t in told if t)
    )


def _phase_table(history: History) -> Table:
    rows = []
    firsts = [*_phases(history), ("", len(history.epochs) + 1)]
    for (name, first), (_, following) in pairwise(firsts):
        part = History(history.epochs[first - 1 : following - 1])
        losses, rates = _real(_column(part, "val_loss")), _real(_column(part, "learning_rate"))
        seconds = _real(_column(part, "seconds"))
        rows.append(
            (
                name,
                f"{first} to {following - 1}",
                three(min(losses)) if losses else "none",
                _rates_words(rates),
                duration(sum(seconds)) if seconds else "not noted",
            )
        )
    header = ("Phase", "Epochs", "Lowest validation loss", "Learning rate", "Time")
    return Table("Phases", header, tuple(rows), numeric=(2, 4))


def _rates_words(rates: Sequence[float]) -> str:
    """From the highest to the lowest; one number where it stays, to the digits that are shown."""
    if not rates:
        return "not noted"
    high, low = three(max(rates)), three(min(rates))
    return high if high == low else f"{high} to {low}"


def training_section(
    history: History,
    verdicts: Sequence[Verdict],
    *,
    best_epoch: int | None = None,
    n_val: int | None = None,
    chance: float | None = None,
    provenance: Provenance | None = None,
) -> Section:
    """Learning curves with phases and best epoch, and the verdict with its numbers.

    Args:
        history: one row per epoch.
        verdicts: what to think of it; shown first, in this order.
        best_epoch: the epoch that was kept, from 1; None takes the lowest validation loss.
        n_val: validation pictures, for the band around accuracy.
        chance: accuracy of guessing, 0..1, for the dashed line.
        provenance: printed below the curves.
    """
    line = provenance.line() if provenance else ""
    marks = Marks(best_epoch or lowest_loss_epoch(history), chance, _phases(history))
    blocks: list[Figure | Table] = [
        curve_figure(history, name, marks=marks, n_val=n_val, line=line) for name in metric_names(history)
    ]
    rates = _column(history, "learning_rate")
    if _real(rates):
        blocks.append(curves_figure("Learning rate", [Curve("rate", rates, is_main=True)], is_share=False))
    if any(row.get("phase") for row in history.epochs):
        blocks.append(_phase_table(history))
    seconds = sum(_real(_column(history, "seconds")))
    note = f"{len(history.epochs)} epochs" + (f" · {duration(seconds)}" if seconds else "")
    words = tuple((v.title, v.detail) for v in verdicts)
    return Section("training", "Training", note, words, tuple(blocks))
