"""Masks: the class of each pixel, in each picture's own frame, scored per case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convscope.actions.box_files import keep_pictures, kept_pictures
from convscope.actions.dataset import Parts
from convscope.actions.evaluate import matched
from convscope.actions.marked_networks import prepare_masks
from convscope.actions.mask_files import mask_rows, read_masks, write_masks, write_pngs
from convscope.actions.network import Prepared, as_model_input
from convscope.actions.predict import BATCH, known_card
from convscope.actions.run_folder import RunFolder
from convscope.actions.sizes import picture_sizes
from convscope.data.budget import NO_CACHE
from convscope.data.loader import Loader
from convscope.data.medical_labels import cases_of, spacing_of
from convscope.data.places import maps_in_picture, place_of
from convscope.errors import DataError
from convscope.metrics.segment import score_segment, segment_cases
from convscope.records.card import Opened
from convscope.records.masks import Segmentations
from convscope.records.prediction import Scores
from convscope.records.progress import Progress
from convscope.records.report import Section
from convscope.records.samples import Samples
from convscope.reporting.segmenting import overlays_section, segment_scores_section, worst_masks
from convscope.training.plan import Plan

KEPT = 16
MEDICAL = ("DICOM", "NIfTI", "NRRD")  # as readers name their source


class MaskSteps:
    """The steps of task segment; see `steps.Steps`."""

    def prepare(self, plan: Plan, samples: Samples, own: Any) -> Prepared:
        """A segmenter of the catalogue, or the user's own model."""
        return prepare_masks(plan, samples, own)

    def close(self, run: RunFolder, opened: Opened, parts: Parts, *, progress: Progress) -> tuple[Opened, Scores]:
        """Score what was kept back, and keep its masks."""
        kept_back = parts.kept_back[1]
        found = find_masks(opened, kept_back, progress=progress)
        write_masks(run.path, found)
        worst = worst_masks(found, top=len(found.keys))
        keep_pictures(run.path, kept_back, [found.keys[i] for i in [*worst[:KEPT], *worst[KEPT:][-2:]]])
        return opened, score_segment(found)

    def score(self, opened: Opened, samples: Samples, *, progress: Progress) -> Scores:
        """Dice and its kin on samples with masks of the same classes."""
        found = matched(samples, known_card(opened).classes)
        return score_segment(find_masks(opened, found, progress=progress))

    def say(self, opened: Opened, samples: Samples, *, native_size: bool, progress: Progress) -> Segmentations:
        """Masks in each picture's own pixels."""
        if native_size:
            raise DataError("expected pictures in the network's own frame, got --native-size; leave it out")
        return find_masks(opened, samples, progress=progress)

    def rows(self, said: Segmentations) -> list[dict[str, Any]]:
        """One row per picture: the share of each class."""
        return mask_rows(said)

    def write(self, folder: Path, said: Segmentations, samples: Samples) -> Sequence[Path]:
        """Index PNGs with a palette, overlays, and the shares as CSV."""
        return write_pngs(folder, said, samples)

    def sections(self, run: RunFolder, *, which: str, progress: Progress) -> list[Section]:
        """Scores by class and case, and the worst pictures with both outlines."""
        found = read_masks(run.path)
        is_medical = any(word in str(run.events[0].get("source", "")) for word in MEDICAL)
        cases = segment_cases(found)
        return [
            segment_scores_section(run.scores, cases, is_medical=is_medical, which=which),
            overlays_section(found, kept_pictures(run.path)),
        ]


def find_masks(opened: Opened, samples: Samples, *, progress: Progress) -> Segmentations:
    """Run a segmenter over samples; truth and groups are carried along where there are some.

    Raises:
        DataError: no readable picture.
    """
    card = known_card(opened)
    size = max(1, min(BATCH // 2, len(samples)))
    loader = Loader(samples, card.preprocess, batch_size=size, cache=NO_CACHE, unreadable="drop")
    sizes = picture_sizes(samples)
    masks: list[np.ndarray] = []
    indices: list[int] = []
    for batch in loader.batches(0):
        images = as_model_input(batch.images, card.preprocess)
        n = len(images)
        if n < size:  # filled up, so that nothing is compiled twice
            images = np.concatenate([images, np.repeat(images[-1:], size - n, axis=0)])
        maps = np.asarray(opened.model.predict_on_batch(images), np.float32)[:n]
        for index, one in zip(batch.indices.tolist(), maps, strict=True):
            whole = maps_in_picture(one, place_of(sizes[index], card.preprocess))
            masks.append(whole.argmax(axis=-1).astype(np.uint8))
            indices.append(index)
        progress("pictures segmented", len(indices), len(samples))
    if not indices:
        reasons = "; ".join(f"{s.key}: {s.reason}" for s in loader.set_aside[:3])
        raise DataError(f"expected at least one readable picture, found none ({reasons}); run `convscope scan`")
    kept = samples.subset(np.array(indices))
    truth = None if kept.truth is None else tuple(kept.truth)
    cases = cases_of(kept) or kept.groups
    return Segmentations(tuple(kept.pictures.keys), tuple(masks), card.classes, truth, spacing_of(kept), cases)
