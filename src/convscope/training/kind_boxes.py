"""Boxes while a model is fitted: brought to the frame, moved with their picture, padded to one length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.arrays.box_moves import VISIBLE, mix_boxes, move_boxes, sample_draws
from convscope.backend.tensors import to_numpy
from convscope.data.chance import is_mixed
from convscope.data.mosaic import TILES
from convscope.data.places import boxes_in_frame
from convscope.errors import DataError, PlanError
from convscope.layers.augment import Augmenter
from convscope.records.boxes import Boxes
from convscope.records.geometry import Preprocess
from convscope.records.samples import Batch
from convscope.training.compiling import make_optimizer
from convscope.training.encoding import Apply
from convscope.training.feed import Fed
from convscope.training.job import TrainingJob
from convscope.training.kinds import Encode
from convscope.training.phases import Phase, rate_of
from convscope.training.plan import Plan

NO_LABEL = -1  # of the rows that only pad


@dataclass(frozen=True, eq=False)
class BoxEncoder:
    """Batch -> (pictures, {"boxes", "labels"}) as a detector's training model takes them.

    Attributes:
        preprocess: the frame that boxes are brought to.
        most: rows of boxes per picture; the rest of a picture with fewer is padding.
        apply: (images, draws, partners) -> images, the compiled augmentation, or None.
    """

    preprocess: Preprocess
    most: int
    apply: Apply | None = None

    def __call__(self, batch: Batch) -> Fed:
        """Bring boxes to the frame and move them with their pictures.

        Under MixUp a box counts where its picture makes up at least a quarter of the pixels' values.

        Returns:
            (n, h, w, c) float32 pictures, and "boxes" (n, most, 4) float32 xyxy in frame pixels with "labels"
            (n, most) int32, NO_LABEL for padding. COCO's crowd groups are left out of training.

        Raises:
            DataError: pictures without truth.
        """
        if batch.truth is None:
            raise DataError("expected pictures with boxes to train on, got none; add annotations")
        images = np.asarray(batch.images, np.float32)
        if batch.draws is not None and self.apply is not None:
            images = to_numpy(self.apply(batch.images, batch.draws, batch.partners))
        hw = (int(images.shape[1]), int(images.shape[2]))
        boxes = np.zeros((len(images), self.most, 4), np.float32)
        labels = np.full((len(images), self.most), NO_LABEL, np.int32)
        for row, truth in enumerate(batch.truth):
            draws = sample_draws(batch.draws, row) if self.apply is not None else {}
            partner = batch.partner_truth[row] if batch.partner_truth is not None and "mix_box" in draws else None
            xyxy, kept_labels = self._placed(truth, partner, draws, hw)
            count = min(len(xyxy), self.most)
            boxes[row, :count], labels[row, :count] = xyxy[:count], kept_labels[:count]
        frame = self.preprocess
        if (frame.scale, frame.offset) != (1, 0):
            images = images * np.float32(frame.scale) + np.float32(frame.offset)
        return images, {"boxes": boxes, "labels": labels}

    def _placed(
        self, truth: Boxes, partner: Boxes | None, draws: dict[str, np.ndarray], hw: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Boxes and labels of one picture, and of its partner, after its draws."""
        own = self._moved(truth, draws, hw)
        if partner is None:
            return own
        mixed = mix_boxes(own, self._moved(partner, draws, hw), draws, hw)
        shows = mixed.weights >= VISIBLE
        return mixed.xyxy[shows], mixed.labels[shows]

    def _moved(self, truth: Boxes, draws: dict[str, np.ndarray], hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        xyxy, labels = boxes_in_frame(truth, self.preprocess)
        if not draws:
            return xyxy, labels
        found = move_boxes(xyxy, draws, hw)
        return found.xyxy[found.kept], labels[found.kept]


@dataclass(frozen=True, eq=False)
class BoxKind:
    """A detector: the training model holds its losses, the inference graph inside it is what is saved."""

    network: Any
    whole: Any
    job: TrainingJob
    has_features: bool = False

    def fitted(self, phase: Phase) -> Any:
        """The training model, around the same layers as the saved one."""
        return self.whole

    def compile(self, model: Any, phase: Phase, *, plan: Plan, steps: int, rate: float) -> None:
        """Give it an optimizer; its losses are its own."""
        if plan.loss != "auto":
            raise PlanError(f"expected loss = 'auto' for boxes, got {plan.loss!r}; a detector brings its own losses")
        optimizer = make_optimizer(plan, rate_of(plan, phase, steps, rate))
        model.compile(optimizer=optimizer, auto_scale_loss=False)
        optimizer.build(model.trainable_variables)

    def encoder(self, phase: Phase) -> Encode:
        """Pictures and boxes, changed together as planned."""
        plan, frame = self.job.plan, self.job.preprocess
        most = most_boxes(self.job)
        if plan.augment.is_off:
            return BoxEncoder(frame, most)
        assert frame.height is not None and frame.width is not None  # a detector has a frame
        change = Augmenter(plan.augment, frame_hw=(frame.height, frame.width), channels=frame.channels, fill=frame.fill)
        return BoxEncoder(frame, most, change.compiled())

    def plain_encoder(self) -> Encode:
        """Pictures and boxes as they are."""
        return BoxEncoder(self.job.preprocess, most_boxes(self.job))


def box_kind(network: Any, job: TrainingJob) -> BoxKind:
    """For tasks whose truth is boxes."""
    return BoxKind(network, network.training_model, job)


def most_boxes(job: TrainingJob) -> int:
    """Rows that hold the boxes of any picture of the job, at least 1; one number for all batches, so that a
    back end compiles once. Where pictures are mixed, the fullest ones may meet in one frame."""
    parts = [part.truth for part in (job.train, job.val) if part is not None and part.truth is not None]
    fullest = sorted((len(boxes) for truth in parts for boxes in truth), reverse=True)
    change = job.plan.augment
    together = (TILES if change.mosaic else 1) + (1 if is_mixed(change) else 0)
    return max(1, sum(fullest[:together]))
