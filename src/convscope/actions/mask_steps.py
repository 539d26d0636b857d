"""Masks: the class of each pixel, in each picture's own frame, scored per case."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from convscope.actions.box_files import keep_pictures, kept_pictures
from convscope.actions.dataset import Parts
from convscope.actions.evaluate import matched
from convscope.actions.marked_networks import prepare_masks
from convscope.actions.mask_blocks import block_depth, blocked_maps
from convscope.actions.mask_files import mask_rows, read_masks, write_masks, write_pngs
from convscope.actions.mask_looks import WHOLE, Looks, looked_at, slid_maps
from convscope.actions.mask_strips import keep_strips, strips_section
from convscope.actions.mask_volumes import write_volumes
from convscope.actions.network import Prepared, as_model_input
from convscope.actions.predict import BATCH, known_card
from convscope.actions.run_folder import RunFolder
from convscope.actions.sizes import picture_sizes
from convscope.data.budget import NO_CACHE
from convscope.data.loader import Loader
from convscope.data.medical_labels import cases_of, spacing_of
from convscope.data.places import maps_in_picture, place_of
from convscope.errors import DataError, PictureError
from convscope.metrics.segment import score_segment, segment_cases
from convscope.metrics.segment_calibration import PixelBins
from convscope.records.card import Card, Opened
from convscope.records.masks import Segmentations
from convscope.records.prediction import Scores
from convscope.records.progress import Progress
from convscope.records.report import Section
from convscope.records.samples import Samples
from convscope.reporting.segmenting import overlays_section, segment_scores_section, worst_masks
from convscope.training.plan import Plan

KEPT = 16
MEDICAL = ("DICOM", "NIfTI", "NRRD", "study ids")  # as readers name their source


@dataclass(frozen=True)
class MaskSteps:
    """The steps of task segment; see `steps.Steps`. `looks` says how `say` looks at pictures."""

    looks: Looks = WHOLE

    def prepare(self, plan: Plan, samples: Samples, own: Any) -> Prepared:
        """A segmenter of the catalogue, or the user's own model."""
        return prepare_masks(plan, samples, own)

    def close(self, run: RunFolder, opened: Opened, parts: Parts, *, progress: Progress) -> tuple[Opened, Scores]:
        """Score what was kept back, and keep its masks."""
        kept_back = parts.kept_back[1]
        bins = PixelBins()
        found = find_masks(opened, kept_back, bins=bins, progress=progress)
        write_masks(run.path, found)
        worst = worst_masks(found, top=len(found.keys))
        keep_pictures(run.path, kept_back, [found.keys[i] for i in [*worst[:KEPT], *worst[KEPT:][-2:]]])
        keep_strips(run.path, found, kept_back, worst)
        return opened, replace(score_segment(found), reliability=bins.table())

    def score(self, opened: Opened, samples: Samples, *, progress: Progress) -> Scores:
        """Dice and its kin on samples with masks of the same classes."""
        found = matched(samples, known_card(opened).classes)
        return score_segment(find_masks(opened, found, progress=progress))

    def say(self, opened: Opened, samples: Samples, *, native_size: bool, progress: Progress) -> Segmentations:
        """Masks in each picture's own pixels."""
        if native_size:
            raise DataError("expected pictures in the network's own frame, got --native-size; leave it out")
        return find_masks(opened, samples, looks=self.looks, progress=progress)

    def rows(self, said: Segmentations) -> list[dict[str, Any]]:
        """One row per picture: the share of each class."""
        return mask_rows(said)

    def write(self, folder: Path, said: Segmentations, samples: Samples) -> Sequence[Path]:
        """Index PNGs with a palette, overlays, the shares as CSV; whole volumes as NIfTI, from DICOM as SEG too."""
        return *write_pngs(folder, said, samples), *write_volumes(folder, said, samples)

    def sections(self, run: RunFolder, *, which: str, progress: Progress) -> list[Section]:
        """Scores by class and case, and the worst pictures with both outlines."""
        found = read_masks(run.path)
        is_medical = any(word in str(run.events[0].get("source", "")) for word in MEDICAL)
        cases = segment_cases(found)
        strips = strips_section(run.path)
        return [
            segment_scores_section(run.scores, cases, is_medical=is_medical, which=which),
            overlays_section(found, kept_pictures(run.path)),
            *(() if strips is None else (strips,)),
        ]


def find_masks(
    opened: Opened, samples: Samples, *, looks: Looks = WHOLE, bins: PixelBins | None = None, progress: Progress
) -> Segmentations:
    """Run a segmenter over samples; truth and groups are carried along where there are some.

    Args:
        opened: with its card.
        samples: the pictures.
        looks: whole or through windows.
        bins: counts how sure and how right each pixel is, where the samples have truth.
        progress: told how far it is.

    Raises:
        DataError: no readable picture.
    """
    card = known_card(opened)
    look = blocked_maps if block_depth(opened.model) else slid_maps if looks.slide else _framed
    masks: list[np.ndarray] = []
    indices: list[int] = []
    for index, maps in look(opened.model, card, samples, looks):
        masks.append(maps.argmax(axis=-1).astype(np.uint8))
        if bins is not None and samples.truth is not None:
            bins.add(maps, samples.truth[index].read())
        indices.append(index)
        progress("pictures segmented", len(indices), len(samples))
    if not indices:
        raise DataError(f"expected at least one readable picture, found none{_why(samples)}; run `convscope scan`")
    kept = samples.subset(np.array(indices))
    truth = None if kept.truth is None else tuple(kept.truth)
    cases = cases_of(kept) or kept.groups
    return Segmentations(tuple(kept.pictures.keys), tuple(masks), card.classes, truth, spacing_of(kept), cases)


def _framed(model: Any, card: Card, samples: Samples, looks: Looks) -> Iterator[tuple[int, np.ndarray]]:
    """(index, probabilities in the picture's own pixels), each picture brought whole to the network's frame."""
    size = max(1, min(BATCH // 2, len(samples)))
    loader = Loader(samples, card.preprocess, batch_size=size, cache=NO_CACHE, unreadable="drop")
    sizes = picture_sizes(samples)
    for batch in loader.batches(0):
        images = as_model_input(batch.images, card.preprocess)
        n = len(images)
        if not n:
            continue
        if n < size:  # filled up, so that nothing is compiled twice
            images = np.concatenate([images, np.repeat(images[-1:], size - n, axis=0)])
        maps = looked_at(model, images, looks)[:n]
        for index, one in zip(batch.indices.tolist(), maps, strict=True):
            yield index, maps_in_picture(one, place_of(sizes[index], card.preprocess))


def _why(samples: Samples) -> str:
    """Why the first pictures can't be read."""
    reasons = []
    for index in range(min(3, len(samples))):
        try:
            samples.pictures.read(index, 3)
        except PictureError as error:
            reasons.append(str(error))
    return f" ({'; '.join(reasons)})" if reasons else ""
