"""Data sets and second models for the scope: what `convscope units`, `store` and `compare` need besides it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convscope.actions.look import Scope
from convscope.actions.predict import known_card
from convscope.backend.selection import BACKENDS
from convscope.data.loose import read_pictures
from convscope.data.opening import read_data
from convscope.records.card import Opened
from convscope.records.progress import Progress, silent
from convscope.records.samples import Samples
from convscope.scope.compare import Comparison

MOST_COMPARED = 16


def fitting_samples(scope: Scope, data: Any) -> Samples:
    """Pictures with labels for a saved model, in its own class order.

    Raises:
        ModelError: a bare .keras file, of which no preprocessing is known. DataError: other classes.
    """
    from convscope.actions.evaluate import matched

    card = known_card(Opened(scope.model, scope.card))
    return matched(read_data(data, task=card.task), card.classes)


def compare_models(
    model: str | Path,
    other: str | Path,
    files: Sequence[str | Path],
    *,
    layers: Sequence[str] = ("**",),
    progress: Progress = silent,
) -> Comparison:
    """The same pictures (the first 16) through two models, or through one on two back ends.

    Raises:
        BackendError: the named back end is not installed or failed there.
    """
    scope = Scope(model)
    samples = read_pictures(files)
    places = [str(Path(samples.root or "") / key) for key in samples.pictures.keys[:MOST_COMPARED]]
    progress("pictures compared", 0, len(places))
    if str(other) in BACKENDS:
        from convscope.scope.across_backends import compare_backends

        images = np.asarray(scope.pictures(places).arrays)
        found = compare_backends(scope.probe, images, list(layers), backends=(str(other),))[str(other)]
    else:
        found = scope.compare(Scope(other), places, list(layers))
    progress("pictures compared", len(places), len(places))
    return found
