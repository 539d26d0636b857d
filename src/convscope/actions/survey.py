"""`convscope.survey` and `convscope survey`: where does the network look over a whole data set?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convscope.actions.dataset import read_as_trained
from convscope.actions.evaluate import kept_back, matched
from convscope.actions.keepsakes import visible
from convscope.actions.marked import marks
from convscope.actions.network import as_model_input
from convscope.actions.opening import find_run, open_any
from convscope.actions.predict import known_card
from convscope.actions.run_folder import RunFolder
from convscope.data.budget import NO_CACHE
from convscope.data.fit import fit_picture
from convscope.data.loader import Loader
from convscope.errors import DataError, PlanError
from convscope.explaining import survey as surveying
from convscope.explaining.engine import Limits, Wish, explain
from convscope.explaining.layers import saved_layer
from convscope.explaining.method import method as registered
from convscope.files.atomic import write_json, write_text
from convscope.files.journal import plain
from convscope.files.manifest import MANIFEST
from convscope.records.card import Card, Opened
from convscope.records.progress import Progress, silent
from convscope.records.report import Facts, Report
from convscope.records.samples import Samples
from convscope.records.survey import Survey
from convscope.reporting.framed import framed
from convscope.reporting.render import render_report
from convscope.reporting.surveying import survey_sections
from convscope.scope.tap import Probe

BATCH = 32
DRAWN = 24


@dataclass(frozen=True, eq=False)
class Surveyed:
    """A surveyed data set and its page.

    Attributes:
        survey: every picture, most suspicious first; groups by class and answer.
        report: the page as data.
    """

    survey: Survey
    report: Report

    def save(self, folder: str | Path) -> Path:
        """Write survey.html and survey.json (every picture, without the mean heat); return the page."""
        page = Path(folder) / "survey.html"
        rows = [asdict(case) | {"is_right": case.is_right, "suspicion": case.suspicion} for case in self.survey.cases]
        facts = {"method": self.survey.method, "words": list(self.survey.words), "pictures": rows}
        write_json(page.with_suffix(".json"), plain(facts))
        write_text(page, render_report(self.report))
        return page

    def __str__(self) -> str:
        """The words."""
        return "\n".join(self.survey.words)

    def _repr_html_(self) -> str:
        return framed(self.report)


def survey(
    model: Any,
    data: Any = None,
    method: str = "grad-cam",
    *,
    masks: str | Path | None = None,
    boxes: str | Path | None = None,
    layer: str | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    limits: Limits | None = None,
    progress: Progress = silent,
) -> Surveyed:
    """Explain what a network says of every picture of a data set; right for the wrong reason comes first.

    Args:
        model: a run, a bundle, their path, or an Opened of a classifier.
        data: pictures with labels (a folder of class folders, a table); None for a run's own kept-back pictures.
        method: registered name.
        masks: a folder of mask pictures of the same names and sizes: where the object is.
        boxes: a CSV file with the columns picture, top, left, bottom, right, in the picture's own pixels.
        layer: as in `convscope.explain`.
        options: of the method.
        seed: of everything drawn at random.
        limits: of memory and batch size.
        progress: told how far it is.

    Returns:
        The survey; it prints its words, draws itself in a notebook and saves a page and JSON.

    Raises:
        DataError, PlanError, ModelError, RunError: one line that says what to change.
    """
    opened, samples = _data(model, data)
    card = known_card(opened)
    if card.task != "classify":
        raise PlanError(f"expected a classifier with one class per picture to survey, got task {card.task}")
    wish = Wish(layer=layer, options=options or {}, seed=seed, saved_layer=saved_layer(opened))
    registered(method).checked(wish.options)
    probe = Probe(opened)
    loader = Loader(samples, card.preprocess, batch_size=min(BATCH, len(samples)), cache=NO_CACHE, unreadable="drop")
    found = surveying.survey(
        probe, _portions(samples, loader, card, masks, boxes), method, wish=wish, limits=limits, classes=card.classes,
        total=len(samples), progress=progress,
    )  # fmt: skip
    shown = _drawn(found, samples, card, probe, method, wish)
    facts = (
        Facts("Data", (("pictures", str(len(found.cases))), ("set aside", str(len(loader.set_aside))))),
        Facts("Method", ((method, registered(method).source),)),
    )
    report = Report(
        title="where it looks, over a data set", subtitle=f"{len(found.cases)} pictures",
        words=tuple((sentence, "") for sentence in found.words), facts=facts,
        sections=tuple(survey_sections(found, shown, card.classes)), provenance=card.provenance,
    )  # fmt: skip
    return Surveyed(found, report)


def _data(model: Any, data: Any) -> tuple[Opened, Samples]:
    run = model if isinstance(model, RunFolder) else None
    if isinstance(model, str | Path) and data is None and not (Path(model) / MANIFEST).is_file():
        run = RunFolder(find_run(model))
    opened = model if isinstance(model, Opened) else run.opened if run is not None else open_any(model)
    card = known_card(opened)
    if data is None:
        if run is None:
            raise PlanError("expected pictures with labels: only a run knows its own; give a folder of class folders")
        return opened, kept_back(run)
    samples = matched(data if isinstance(data, Samples) else read_as_trained(data, card), card.classes)
    if samples.truth is None:
        raise DataError("expected pictures with labels to survey, got none; use `convscope explain`")
    return opened, samples


def _portions(
    samples: Samples, loader: Loader, card: Card, masks: str | Path | None, boxes: str | Path | None
) -> Iterator[surveying.Portion]:
    keys = samples.pictures.keys
    for batch in loader.batches(0):
        if not len(batch.images):
            continue
        labels = tuple(keys[int(i)] for i in batch.indices)
        found = None
        if masks is not None or boxes is not None:
            read = (samples.pictures.read(int(i), card.preprocess.channels) for i in batch.indices)
            frames = [fit_picture(picture, card.preprocess)[1] for picture in read]
            found = marks(labels, frames, masks=masks, boxes=boxes)
        truth = np.asarray(samples.truth)[batch.indices]
        yield surveying.Portion(as_model_input(batch.images, card.preprocess), truth, labels, found)


def _drawn(
    found: Survey, samples: Samples, card: Card, probe: Probe, method: str, wish: Wish
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pictures and heat of the most suspicious and of the surest wrong ones, read and explained once more."""
    right = [c.label for c in found.cases if c.is_right][:DRAWN]
    wrong = [c.label for c in found.cases if not c.is_right][:DRAWN]
    place = {key: i for i, key in enumerate(samples.pictures.keys)}
    chosen = samples.subset(np.array(sorted(place[label] for label in [*right, *wrong]), np.int64))
    loader = Loader(chosen, card.preprocess, batch_size=min(BATCH, len(chosen)), cache=NO_CACHE, unreadable="drop")
    drawn = {}
    for batch in loader.batches(0):
        if not len(batch.images):
            continue
        heat = explain(probe, as_model_input(batch.images, card.preprocess), method, wish=wish).heat
        for row, index in enumerate(batch.indices):
            drawn[chosen.pictures.keys[int(index)]] = (visible(batch.images[row]), np.maximum(heat[row], 0))
    return drawn
