"""`convscope look`: the maps, filters and heat behind the answers on given pictures; and Scope for paths and runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convscope.actions.inside import inside_sections, spatial_layers, strongest_maps
from convscope.actions.keepsakes import short_names, visible
from convscope.actions.look_boxes import LookedBoxes, look_boxes
from convscope.actions.network import as_model_input
from convscope.actions.opening import open_any
from convscope.actions.predict import as_rows, decode, known_card, run_batches
from convscope.actions.run_folder import RunFolder
from convscope.data.budget import NO_CACHE
from convscope.data.loader import Loader
from convscope.data.loose import read_pictures
from convscope.errors import DataError
from convscope.files.atomic import write_text
from convscope.records.card import Opened
from convscope.records.features import FeatureMaps
from convscope.records.prediction import Predictions
from convscope.records.progress import Progress, silent
from convscope.reporting.looking import look_report
from convscope.reporting.render import render_report
from convscope.scope import front
from convscope.scope.compare import Comparison
from convscope.scope.paths import Names

MOST_PICTURES = 12


class Scope(front.Scope):
    """Look inside any Keras 3 model, a `.keras` file, a bundle or a run; the model is never changed.

    Args:
        model: a keras.Model, an Opened, a Run, or the path of a run, a bundle or a .keras file.
        preprocess: for file paths and PIL pictures where the model brings no preprocessing; see `scope.front.Scope`.
        precision: "float32" or "as-trained".
        batch_size: pictures per run.

    Example:
        >>> scope = convscope.Scope("last")  # doctest: +SKIP
        >>> print(scope.layers())  # doctest: +SKIP
    """

    def __init__(self, model: Any, preprocess: Any = None, *, precision: Any = "float32", batch_size: int = 32) -> None:
        """Open what was given; nothing is run yet."""
        opened = (
            model.opened
            if isinstance(model, RunFolder)
            else open_any(model)
            if isinstance(model, str | Path)
            else model
        )
        super().__init__(opened, preprocess, precision=precision, batch_size=batch_size)

    def compare(
        self, other: Any, images: Any, layers: Names = "**", *, pairs: dict[str, str] | None = None
    ) -> Comparison:
        """The same pictures through another model (a Scope, a model, a run, or where one is saved), layer by layer."""
        saved = isinstance(other, RunFolder | str | Path)
        return super().compare(Scope(other) if saved else other, images, layers, pairs=pairs)


@dataclass(frozen=True, eq=False)
class Looked:
    """What `look` found: the page, predictions, ranked maps layer by layer, and how many pictures were given."""

    page: Path
    predictions: Predictions
    maps: tuple[FeatureMaps, ...]
    given: int


def look(
    model: str | Path | Opened,
    files: Sequence[str | Path],
    *,
    layers: Sequence[str] = (),
    out: Path = Path("look.html"),
    progress: Progress = silent,
) -> Looked | LookedBoxes:
    """Write a page that shows what a network makes of some pictures; for a detector how its boxes come about.

    Args:
        model: a run, a bundle, or an opened model.
        files: pictures, or folders of pictures; the first 12 are looked at. For a detector also a marked data set.
        layers: names or patterns of layers (`*` within a level, `**` across); empty for four between first and last,
            for a detector those that its heads read.
        out: the HTML file to write.
        progress: told about each step.

    Raises:
        DataError: no readable picture. UnknownLayerError: no such layer; says the nearest names.
    """
    opened = model if isinstance(model, Opened) else open_any(model)
    card = known_card(opened)
    if card.task == "detect":
        return look_boxes(model, opened, files, most=MOST_PICTURES, layers=layers, out=out, progress=progress)
    samples = read_pictures(files)
    given = len(samples)
    samples = samples.subset(np.arange(min(given, MOST_PICTURES)))
    loader = Loader(samples, card.preprocess, batch_size=len(samples), cache=NO_CACHE, unreadable="drop")
    images = loader.batch(0, 0).images
    if not len(images):
        reasons = "; ".join(f"{s.key}: {s.reason}" for s in loader.set_aside[:3])
        raise DataError(f"expected at least one readable picture, found none ({reasons}); run `convscope scan`")
    outputs, indices = run_batches(opened.model, loader, card, progress)
    predictions = decode(card, outputs, samples.subset(indices))
    rows = as_rows(predictions)
    says = [_says(row) for row in rows]
    pictures = [visible(image) for image in images]
    scope = front.Scope(opened)
    inputs = as_model_input(images, card.preprocess)
    chosen = _chosen(scope, inputs, layers)
    labels = short_names(predictions.keys)
    maps = strongest_maps(scope, inputs, labels, layers=chosen)
    sections = inside_sections(opened, images, pictures, labels=labels, says=says, layers=chosen, progress=progress)
    words = tuple((f"{Path(row['picture']).name}: {text}", "") for row, text in zip(rows, says, strict=True))
    report = look_report(card, words, sections)
    write_text(out, render_report(report))
    return Looked(out, predictions, maps, given)


def _chosen(scope: front.Scope, inputs: np.ndarray, layers: Names) -> list[str]:
    if not layers:
        return []
    spatial = set(spatial_layers(scope, inputs))
    names = [name for one in layers for name in scope.probe.select(one, inputs)]
    return [n for n in names if n in spatial] or names


def _says(row: dict[str, Any]) -> str:
    if "probability" in row:
        return f"{row['says']}, p {row['probability']:.2f}{' (unsure)' if row['unsure'] else ''}"
    if "says" in row:
        return row["says"] or "none"
    return ", ".join(f"{name} {value:.3g}" for name, value in row.items() if name != "picture")
