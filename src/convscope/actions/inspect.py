"""Data sets and second models for the scope: what `convscope units`, `store` and `compare` need besides it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convscope.actions.epochs import model_of_epoch
from convscope.actions.look import Scope
from convscope.actions.predict import known_card
from convscope.backend.selection import BACKENDS
from convscope.data.loose import read_pictures
from convscope.files.atomic import write_text
from convscope.records.card import Opened
from convscope.records.progress import Progress, silent
from convscope.records.provenance import Provenance
from convscope.records.report import Report, Section, Table
from convscope.records.samples import Samples
from convscope.reporting.comparing import comparison_section
from convscope.reporting.render import render_report
from convscope.scope.compare import Comparison

MOST_COMPARED = 16


def fitting_samples(scope: Scope, data: Any) -> Samples:
    """Pictures with labels for a saved model, in its own class order.

    Raises:
        ModelError: a bare .keras file, of which no preprocessing is known. DataError: other classes.
    """
    from convscope.actions.dataset import read_as_trained
    from convscope.actions.evaluate import matched

    card = known_card(Opened(scope.model, scope.card))
    return matched(read_as_trained(data, card), card.classes)


def picture_paths(files: Sequence[str | Path], most: int = MOST_COMPARED) -> list[str]:
    """Paths of the first pictures among files and folders.

    Raises:
        DataError: none is there.
    """
    samples = read_pictures(files)
    return [str(Path(samples.root or "") / key) for key in samples.pictures.keys[:most]]


def compare_models(
    model: str | Path,
    other: str | Path | None,
    files: Sequence[str | Path],
    *,
    epochs: tuple[int, int] | None = None,
    layers: Sequence[str] = ("**",),
    progress: Progress = silent,
) -> Comparison:
    """The same pictures (the first 16) through two models, one on two back ends, or one run at two of its epochs.

    Args:
        model: a run, a bundle or a .keras file.
        other: another, or the name of a back end; None with `epochs`.
        files: pictures or folders of pictures.
        epochs: two epochs of the run `model`, whose checkpoints are kept.
        layers: names or patterns.
        progress: told about the steps.

    Raises:
        BackendError: the named back end is not installed or failed there. RunError: no checkpoint of such an epoch.
    """
    scope = Scope(model if epochs is None else model_of_epoch(model, epochs[0]))
    places = picture_paths(files)
    progress("pictures compared", 0, len(places))
    if epochs is not None:
        found = scope.compare(Scope(model_of_epoch(model, epochs[1])), places, list(layers))
    elif str(other) in BACKENDS:
        from convscope.scope.across_backends import compare_backends

        images = np.asarray(scope.pictures(places).arrays)
        found = compare_backends(scope.probe, images, list(layers), backends=(str(other),))[str(other)]
    else:
        found = scope.compare(Scope(str(other)), places, list(layers))
    progress("pictures compared", len(places), len(places))
    return found


def comparison_page(found: Comparison, out: Path, *, title: str, provenance: Provenance | None = None) -> None:
    """Write the chart and the table of a comparison as one HTML page."""
    text = found.table()
    numeric = tuple(range(2, len(text.headings)))
    listed = Table("All layers", text.headings, text.rows, numeric, note=text.note)
    section = comparison_section([(r.layer, r.relative, r.cka) for r in found.rows], listed)
    write_page(out, title, [section], provenance=provenance)


def write_page(out: Path, title: str, sections: Sequence[Section], *, provenance: Provenance | None = None) -> None:
    """Write chapters as one HTML page that needs nothing else.

    Raises:
        StorageError: it can't be written.
    """
    report = Report(title=title, sections=tuple(sections), provenance=provenance or Provenance())
    write_text(out, render_report(report))
