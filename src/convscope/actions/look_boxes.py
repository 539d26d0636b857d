"""`convscope look` for a detector: how its boxes come about on some pictures, and its neck's feature maps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from convscope.actions.box_files import PICTURES
from convscope.actions.box_steps import find_boxes
from convscope.actions.evaluate import matched
from convscope.actions.explain_boxes import neck_of
from convscope.actions.keepsakes import short_names, visible
from convscope.actions.network import as_model_input
from convscope.actions.opening import find_run
from convscope.actions.predict import known_card
from convscope.actions.run_folder import RunFolder
from convscope.data.budget import NO_CACHE
from convscope.data.files_source import FilesSource
from convscope.data.loader import Loader
from convscope.data.loose import read_pictures
from convscope.data.opening import read_data
from convscope.data.places import boxes_in_frame
from convscope.errors import ConvscopeError
from convscope.files.atomic import write_text
from convscope.models.detector_looks import box_looks
from convscope.records.boxes import Boxes, Detections
from convscope.records.card import Opened
from convscope.records.features import FeatureMaps
from convscope.records.progress import Progress, silent
from convscope.records.report import Section
from convscope.records.samples import Samples
from convscope.reporting.box_looks import box_looks_section
from convscope.reporting.detecting import detected_section
from convscope.reporting.looking import look_report, maps_section
from convscope.reporting.render import render_report
from convscope.scope.front import Scope
from convscope.scope.maps import feature_maps

MAPS = 8
LOOKED_AT = 3  # pictures of the report


@dataclass(frozen=True, eq=False)
class LookedBoxes:
    """What `look` found in a detector: the page, the boxes, and the neck's maps layer by layer."""

    page: Path
    detections: Detections
    maps: tuple[FeatureMaps, ...]


def look_boxes(
    model: str | Path | Opened,
    opened: Opened,
    files: Sequence[str | Path],
    *,
    most: int,
    layers: Sequence[str] = (),
    out: Path,
    progress: Progress = silent,
) -> LookedBoxes:
    """Write a page that shows how a detector's boxes come about: targets, anchors, proposals, suppression, maps.

    Args:
        model: as the user gave it; the marks of a run's own pictures are found by it.
        opened: the same, opened.
        files: pictures, folders of pictures, or one marked data set, whose boxes are then known.
        most: how many pictures at most.
        layers: names or patterns of layers; empty for those that the heads read.
        out: the HTML file to write.
        progress: told about each step.

    Raises:
        DataError: no readable picture. UnknownLayerError: no such layer; says the nearest names.
    """
    card = known_card(opened)
    samples, truths = known_pictures(model, files, card.classes, most)
    detections = find_boxes(opened, samples, progress=progress)
    place = {key: index for index, key in enumerate(samples.pictures.keys)}
    rows = [place[key] for key in detections.keys]
    loader = Loader(samples.subset(np.array(rows)), card.preprocess, batch_size=len(rows), cache=NO_CACHE)
    names = short_names(detections.keys)
    progress("chapters on the inside", 0, 2)
    sections, maps = inner_sections(
        opened, loader.batch(0, 0).images, names, [truths[row] for row in rows], layers=layers
    )
    progress("chapters on the inside", 2, 2)
    pictures = {name: samples.pictures.read(row, 3).values for name, row in zip(names, rows, strict=True)}
    sections = (detected_section(replace(detections, keys=names), pictures), *sections)
    report = look_report(card, (), sections)
    write_text(out, render_report(report))
    return LookedBoxes(out, detections, maps)


def inner_sections(
    opened: Opened,
    images: np.ndarray,
    keys: Sequence[str],
    truths: Sequence[Boxes | None],
    *,
    layers: Sequence[str] = (),
) -> tuple[tuple[Section, ...], tuple[FeatureMaps, ...]]:
    """The chapters on how boxes come about and on the neck's maps.

    Args:
        opened: a detector with its card.
        images: (n, h, w, c) in the frame, before the card's scale and offset.
        keys: their names.
        truths: for each its boxes in the whole picture's pixels, or None.
        layers: names or patterns of layers; empty for those that the heads read, where they are known.
    """
    card = known_card(opened)
    inputs = as_model_input(images, card.preprocess)
    framed = [None if one is None else _framed(one, card.preprocess, inputs.shape[1:3]) for one in truths]
    looks = box_looks(opened.model, inputs, keys, framed, score_threshold=card.unsure_below, shown=images)
    boxes = box_looks_section(looks, card.classes, score_threshold=card.unsure_below)
    chosen = list(layers) or neck_of(opened)
    if not chosen:
        return (boxes,), ()
    scope = Scope(opened)
    maps = feature_maps(scope.probe, inputs, chosen, rank_by="activation", labels=keys, provenance=scope.provenance())
    words = (
        ("What the heads read.", "The maps of the neck, fine to coarse: small objects are found on the first, large "
         "ones on the last."),
        ("Ranked by mean absolute activation.", "Bright means: here this channel found what it looks for."),
    )  # fmt: skip
    chapter = maps_section(maps, [visible(image) for image in images], top=MAPS, words=words)
    return (boxes, chapter), maps


def _framed(truth: Boxes, preprocess: Any, hw: tuple[int, int]) -> Boxes:
    xyxy, labels = boxes_in_frame(truth, preprocess)
    return Boxes(xyxy, labels, (int(hw[0]), int(hw[1])))


def sections_of_run(
    folder: Path, opened: Opened, detections: Detections, *, progress: Progress = silent
) -> tuple[Section, ...]:
    """The chapters of `inner_sections` on the first pictures the run kept, with their truth; () if it kept none."""
    path = folder / PICTURES
    if not path.is_file():
        return ()
    names = list(json.loads(path.read_text(encoding="utf-8")).items())[:LOOKED_AT]
    if not names:
        return ()
    card = known_card(opened)
    progress("chapters on the inside", 0, 2)
    source = FilesSource(folder, tuple(name for _, name in names))
    loader = Loader(
        Samples(source, None, "detect", card.classes), card.preprocess, batch_size=len(names), cache=NO_CACHE
    )
    truth = dict(zip(detections.keys, detections.truth or [None] * len(detections.keys), strict=True))
    keys = [key for key, _ in names]
    sections, _ = inner_sections(opened, loader.batch(0, 0).images, keys, [truth[key] for key in keys])
    progress("chapters on the inside", 2, 2)
    return sections


def known_pictures(
    model: str | Path | Opened, files: Sequence[str | Path], classes: tuple[str, ...], most: int
) -> tuple[Samples, list[Boxes | None]]:
    """The first pictures, and for each its true boxes where they are known.

    They are known when `files` is one marked data set, or when they are pictures of the data of the run.

    Raises:
        DataError, DataNotFoundError: as `read_pictures`.
    """
    if len(files) == 1 and not isinstance(files[0], np.ndarray):
        whole = _marks_in(Path(files[0]), classes)
        if whole is not None and whole.truth is not None:
            chosen = whole.subset(np.arange(min(len(whole), most)))
            return replace(chosen, truth=None), list(whole.truth[: len(chosen)])
    samples = read_pictures(files)
    samples = samples.subset(np.arange(min(len(samples), most)))
    known = _marks_of_run(model, classes)
    paths = [Path(key).resolve() for key in samples.pictures.keys]
    return samples, [known.get(path) for path in paths]


def _marks_in(path: Path, classes: tuple[str, ...]) -> Samples | None:
    try:
        return matched(read_data(path, task="detect"), classes)
    except ConvscopeError:
        return None  # plain pictures: they are looked at without truth


def _marks_of_run(model: str | Path | Opened, classes: tuple[str, ...]) -> Mapping[Path, Boxes]:
    """Path -> boxes of all pictures of a run's data, where it is still there."""
    where = model.where if isinstance(model, Opened) else model
    try:
        start = RunFolder(find_run(where)).events[0]
    except (ConvscopeError, IndexError):
        return {}
    whole = _marks_in(Path(start["data_path"]), classes) if start.get("data_path") else None
    path = None if whole is None else getattr(whole.pictures, "path", None)
    if whole is None or whole.truth is None or path is None:
        return {}
    return {path(index).resolve(): boxes for index, boxes in enumerate(whole.truth)}
