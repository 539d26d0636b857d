"""`convscope.visualise`, `convscope.dream`: pictures that a class, a channel or a whole layer would like to see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from convscope.actions.asking import for_people, given_pictures, opened_model, provenance_of
from convscope.draw.png import png_bytes
from convscope.errors import PlanError
from convscope.explaining.growing import Ascent, Holding
from convscope.explaining.visualise import Grown, channel_pictures, class_pictures, deep_dream
from convscope.files.atomic import write_bytes, write_json, write_text
from convscope.files.journal import plain
from convscope.records.card import Opened
from convscope.records.progress import Progress, silent
from convscope.records.report import Facts, Report
from convscope.registry import nearest
from convscope.reporting.explaining import grown_section
from convscope.reporting.framed import framed
from convscope.reporting.render import render_report
from convscope.scope.tap import Probe

MOST_CLASSES = 16


@dataclass(frozen=True, eq=False)
class Visualised:
    """Grown pictures and their page.

    Attributes:
        grown: pictures in the model's own values, their objective step by step, what they are for.
        pictures: the same for the eye, (n, h, w, 1 or 3) uint8.
        report: the page as data.
    """

    grown: Grown
    pictures: np.ndarray
    report: Report

    def save(self, folder: str | Path) -> Path:
        """Write one PNG per picture, visualise.html and visualise.json; return the page."""
        place = Path(folder)
        for i, picture in enumerate(self.pictures):
            write_bytes(place / f"grown-{i:03d}.png", png_bytes(picture))
        first, last = self.grown.history[0], self.grown.history[-1]
        rows = [
            {"for": words, "file": f"grown-{i:03d}.png", "first": first[i], "last": last[i]}
            for i, words in enumerate(self.grown.words)
        ]
        write_json(place / "visualise.json", plain({"pictures": rows}))
        write_text(place / "visualise.html", render_report(self.report))
        return place / "visualise.html"

    def __str__(self) -> str:
        """One line per picture."""
        ends = zip(self.grown.words, self.grown.history[0], self.grown.history[-1])
        return "\n".join(f"{words}: {first:.3g} to {last:.3g}" for words, first, last in ends)

    def _repr_html_(self) -> str:
        return framed(self.report)


def visualise(
    model: Any,
    layer: str | None = None,
    channels: Sequence[int] | None = None,
    *,
    classes: Sequence[str | int] | None = None,
    unit: tuple[int, int] | None = None,
    copies: int = 1,
    ascent: Ascent | None = None,
    progress: Progress = silent,
) -> Visualised:
    """Grow pictures that fire channels of a layer, one unit, or classes most.

    Args:
        model: as in `convscope.explain`.
        layer: path of a layer; None grows pictures of classes.
        channels: their numbers; None for all of the layer: a sheet for a whole layer.
        classes: names or indices, for layer=None; None for the first 16.
        unit: (row, column) of one place of the maps; None for their mean.
        copies: pictures for each, held apart by `ascent.diversity`.
        ascent: steps, parametrisation, changes between steps, regularisers, range of values.
        progress: told how far it is.

    Returns:
        Pictures; they print their objectives, draw themselves in a notebook and save PNG, JSON and a page.

    Raises:
        UnknownLayerError, PlanError, ModelError: one line that says what to change.
    """
    opened = opened_model(model)
    probe = opened if isinstance(opened, Probe) else Probe(opened)
    how = ascent or _in_range(Ascent(), opened)
    if layer is None:
        if channels is not None or unit is not None:
            raise PlanError("expected a layer for channels and units, got none; name one, see `convscope layers`")
        grown = class_pictures(probe, _classes(classes, probe), ascent=how, progress=progress)
    else:
        if classes is not None:
            raise PlanError("expected a layer or classes, got both; leave one of them out")
        chosen = None if channels is None else list(channels)
        grown = channel_pictures(probe, layer, chosen, unit=unit, copies=copies, ascent=how, progress=progress)
    return _shown(grown, opened, probe, how, "")


def dream(
    model: Any,
    images: Any,
    layer: str,
    *,
    ascent: Ascent | None = None,
    preprocess: Any = None,
    progress: Progress = silent,
) -> Visualised:
    """Change pictures so that a whole layer answers more strongly (deep dream).

    Args:
        model: as in `convscope.explain`.
        images: as in `convscope.explain`.
        layer: path of the layer.
        ascent: steps, step size, changes between steps.
        preprocess: as in `convscope.explain`.
        progress: told how far it is.

    Raises:
        As `visualise`; DataError: pictures that can't be read.
    """
    opened = opened_model(model)
    probe = opened if isinstance(opened, Probe) else Probe(opened)
    given = given_pictures(opened, images, preprocess, ())
    how = ascent or _in_range(Ascent(steps=32, rate=0.02, holding="pixels"), opened)
    grown = deep_dream(probe, np.asarray(given.arrays, np.float32), layer, ascent=how, progress=progress)
    labels = given.labels or tuple(f"picture {i}" for i in range(len(grown.words)))
    words = tuple(f"{label}, {said}" for label, said in zip(labels, grown.words))
    return _shown(replace(grown, words=words), opened, probe, how, "What does it see in these pictures?")


@dataclass(frozen=True, eq=False)
class Growth:
    """An opened model and how its pictures are grown."""

    model: Any
    ascent: Ascent


def growth(model: Any, *, steps: int, seed: int, holding: Holding, rate: float = 0.05, copies: int = 1) -> Growth:
    """A model opened once, and the options of the command line within its own range of values."""
    opened = opened_model(model)
    how = Ascent(steps=steps, seed=seed, holding=holding, rate=rate, diversity=1.0 if copies > 1 else 0.0)
    return Growth(opened, _in_range(how, opened))


def _in_range(how: Ascent, opened: Any) -> Ascent:
    """The range of values that the saved preprocessing gives; 0..255 where none is known."""
    card = opened.card if isinstance(opened, Opened) else None
    if card is None:
        return how
    ends = sorted((card.preprocess.offset, 255 * card.preprocess.scale + card.preprocess.offset))
    return replace(how, low=ends[0], high=ends[1])


def _classes(classes: Sequence[str | int] | None, probe: Probe) -> list[int]:
    if classes is None:
        heads = probe.heads()
        count = heads[0].shape[0] if heads and len(heads[0].shape) == 1 else 0
        return list(range(min(count, MOST_CLASSES)))
    found = []
    for one in classes:
        if isinstance(one, str) and one not in probe.classes and not one.lstrip("-").isdigit():
            raise PlanError(f"unknown class {one!r}; {nearest(one, probe.classes or ('an index',))}")
        found.append(probe.classes.index(one) if isinstance(one, str) and one in probe.classes else int(one))
    return found


def _shown(grown: Grown, opened: Any, probe: Probe, how: Ascent, title: str) -> Visualised:
    pictures = for_people(opened, probe, grown.pictures)
    where = provenance_of(opened, probe, how.seed)
    told = how.words()
    section = grown_section(list(pictures), grown.words, history=grown.history, how=told, title=title)
    facts = (Facts("Growing", (("steps", str(how.steps)), ("held as", how.holding), ("seed", str(how.seed)))),)
    rose = int((grown.history[-1] > grown.history[0]).sum())
    words = ((f"The objective rose for {rose} of {len(pictures)} pictures.", f"{how.steps} steps each."),)
    report = Report(
        words=words,
        title=title or "pictures that it would like to see", subtitle=str(probe.model.name), facts=facts,
        sections=(section,), provenance=where,
    )  # fmt: skip
    return Visualised(grown, pictures, report)
