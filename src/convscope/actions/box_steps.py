"""Boxes: what a detector finds in pictures, scored as COCO does, from a threshold that validation chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from convscope.actions.box_files import (
    box_rows,
    draw_pictures,
    keep_pictures,
    kept_pictures,
    read_exact,
    write_boxes,
    write_exact,
)
from convscope.actions.dataset import Parts
from convscope.actions.evaluate import matched
from convscope.actions.marked_networks import prepare_boxes
from convscope.actions.network import Prepared, as_model_input
from convscope.actions.predict import BATCH, known_card
from convscope.actions.run_folder import RunFolder
from convscope.actions.sizes import picture_sizes
from convscope.data.budget import NO_CACHE
from convscope.data.loader import Loader
from convscope.data.places import place_of
from convscope.errors import DataError
from convscope.metrics.detect import match_detections, score_detections
from convscope.metrics.detect_curves import threshold_curve
from convscope.metrics.detect_errors import analyse_errors
from convscope.records.boxes import Detections, Found
from convscope.records.card import Opened
from convscope.records.geometry import Letterbox
from convscope.records.prediction import Scores
from convscope.records.progress import Progress
from convscope.records.report import Section
from convscope.records.samples import Samples
from convscope.reporting.detecting import box_mistakes_section, detected_section, detection_section
from convscope.training.plan import Plan

KEPT = 24
LOWEST = 0.01  # metrics count boxes down to this score


class BoxSteps:
    """The steps of task detect; see `steps.Steps`."""

    def prepare(self, plan: Plan, samples: Samples, own: Any) -> Prepared:
        """A detector of the catalogue."""
        return prepare_boxes(plan, samples, own)

    def close(self, run: RunFolder, opened: Opened, parts: Parts, *, progress: Progress) -> tuple[Opened, Scores]:
        """Choose the score threshold on validation (highest F1), then score what was kept back."""
        card = known_card(opened)
        if len(parts.val):
            on_val = find_boxes(opened, parts.val, progress=progress)
            best = threshold_curve(match_detections(on_val), "all classes").best[0]
            opened = replace(opened, card=replace(card, unsure_below=0.25 if np.isnan(best) else best))
        kept_back = parts.kept_back[1]
        detections = find_boxes(opened, kept_back, progress=progress)
        write_exact(run.path, detections)
        keep_pictures(run.path, kept_back, _worst_first(detections)[:KEPT])
        return opened, score_detections(detections)

    def score(self, opened: Opened, samples: Samples, *, progress: Progress) -> Scores:
        """COCO's numbers on samples with boxes, classes matched by name."""
        found = matched(samples, known_card(opened).classes)
        return score_detections(find_boxes(opened, found, progress=progress))

    def say(self, opened: Opened, samples: Samples, *, native_size: bool, progress: Progress) -> Detections:
        """Found boxes in each picture's own pixels."""
        if native_size:
            raise DataError("expected pictures in the detector's own frame, got --native-size; leave it out")
        return find_boxes(opened, samples, progress=progress)

    def rows(self, said: Detections) -> list[dict[str, Any]]:
        """One row per box."""
        return box_rows(said)

    def write(self, folder: Path, said: Detections, samples: Samples) -> Sequence[Path]:
        """CSV, COCO JSON, and the pictures with their boxes."""
        return *write_boxes(folder, said), draw_pictures(folder, said, samples)

    def sections(self, run: RunFolder, *, which: str, progress: Progress) -> list[Section]:
        """Scores with curves, kinds of mistakes, pictures with boxes, false alarms, misses, how boxes come about."""
        detections, pictures = read_exact(run.path), kept_pictures(run.path)
        matches = match_detections(detections)
        errors = analyse_errors(detections, matches)
        from convscope.actions.look_boxes import sections_of_run

        return [
            detection_section(run.scores, matches, errors),
            detected_section(detections, pictures, matches=matches, errors=errors),
            box_mistakes_section(detections, pictures, matches=matches, errors=errors),
            *sections_of_run(run.path, run.opened, detections, progress=progress),
        ]


def find_boxes(opened: Opened, samples: Samples, *, progress: Progress) -> Detections:
    """Run a detector over samples; truth is carried along where there is one.

    Raises:
        DataError: no readable picture.
    """
    from convscope.models.detector_outputs import decode_outputs

    card = known_card(opened)
    frame = card.preprocess
    size = max(1, min(BATCH, len(samples)))
    loader = Loader(samples, frame, batch_size=size, cache=NO_CACHE, unreadable="drop")
    sizes = picture_sizes(samples)
    found: list[Found] = []
    indices: list[int] = []
    assert frame.height is not None and frame.width is not None  # a detector has a frame
    for batch in loader.batches(0):
        outputs = _whole_batch(opened.model, as_model_input(batch.images, frame), size)
        made = decode_outputs(outputs, (frame.height, frame.width), score_threshold=LOWEST)
        for index, one in zip(batch.indices.tolist(), made, strict=False):
            place = place_of(sizes[index], frame)
            found.append(Found(_to_picture(one.xyxy, place), one.labels, one.scores, sizes[index]))
            indices.append(index)
        progress("pictures searched", len(indices), len(samples))
    if not indices:
        reasons = "; ".join(f"{s.key}: {s.reason}" for s in loader.set_aside[:3])
        raise DataError(f"expected at least one readable picture, found none ({reasons}); run `convscope scan`")
    kept = samples.subset(np.array(indices))
    truth = None if kept.truth is None else tuple(kept.truth)
    return Detections(tuple(kept.pictures.keys), tuple(found), card.classes, truth, card.unsure_below)


def _whole_batch(model: Any, images: np.ndarray, size: int) -> dict[str, Any]:
    """The outputs for `images`; a short last batch is filled up, so that nothing is compiled twice."""
    n = len(images)
    if n < size:
        images = np.concatenate([images, np.repeat(images[-1:], size - n, axis=0)])
    outputs = model.predict_on_batch(images)
    return {name: np.asarray(value)[:n] for name, value in outputs.items()}


def _to_picture(xyxy: np.ndarray, place: Letterbox) -> np.ndarray:
    """Boxes in frame pixels to the picture's own, cut at its border."""
    corners = place.to_picture(xyxy.reshape(-1, 2)[:, ::-1])[:, ::-1].reshape(-1, 4)
    high, wide = place.picture_hw
    return np.clip(corners, 0, [wide, high, wide, high]).astype(np.float32)


def _worst_first(detections: Detections) -> list[str]:
    """All pictures: the one with most mistakes, the one with fewest, the next worst, and so on."""
    matches = match_detections(detections)
    errors = analyse_errors(detections, matches)
    n = len(detections.keys)
    alarms = (matches.score >= detections.score_threshold) & ~np.isin(errors.kinds, ("right", "ignored"))
    wrong = np.bincount(matches.picture[alarms], minlength=n)
    wrong = wrong + np.bincount(matches.truth_picture[errors.not_found], minlength=n)
    order = np.argsort(-wrong, kind="stable").tolist()
    turns = [i for pair in zip(order, reversed(order)) for i in pair]
    return [detections.keys[i] for i in dict.fromkeys(turns)]
