"""What a detector is trained on: mosaics and mixed pictures have each box on its rectangle, and end in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from convscope.backend.selection import load_keras
from convscope.data.loader import Loader
from convscope.errors import PlanError
from convscope.records.augmentation import Augmentation
from convscope.records.boxes import Boxes
from convscope.records.geometry import Preprocess
from convscope.records.samples import Batch, Picture, Samples
from convscope.training.job import TrainingJob
from convscope.training.kind_boxes import NO_LABEL, BoxEncoder, most_boxes
from convscope.training.plan import Plan
from convscope.training.plan_check import check_plan

pytestmark = pytest.mark.backend
PICTURES, PICTURE_HW, FRAME = 12, (48, 80), Preprocess(64, 64)
COLOURS = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255)], np.uint8)  # one for each class


@dataclass(frozen=True, eq=False)
class Drawn:
    """Black pictures with one rectangle in the colour of its class."""

    boxes: np.ndarray  # (n, 4)
    numbers: np.ndarray

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(f"p{i}.png" for i in self.numbers)

    def __len__(self) -> int:
        return len(self.boxes)

    def read(self, index: int, channels: int, at_least_hw: tuple[int, int] | None = None) -> Picture:
        values = np.zeros((*PICTURE_HW, channels), np.uint8)
        left, top, right, bottom = self.boxes[index].astype(int)
        values[top:bottom, left:right] = COLOURS[self.numbers[index] % 3]
        return Picture(values, PICTURE_HW)

    def subset(self, indices: np.ndarray) -> Drawn:
        return Drawn(self.boxes[indices], self.numbers[indices])


def drawn_samples() -> Samples:
    rng = np.random.default_rng(4)
    low = rng.integers(2, (40, 20), (PICTURES, 2))
    boxes = np.concatenate([low, low + rng.integers(16, (38, 26), (PICTURES, 2))], axis=1).astype(np.float32)
    truth = np.empty(PICTURES, object)
    truth[:] = [Boxes(box[None], np.array([i % 3]), PICTURE_HW) for i, box in enumerate(boxes)]
    return Samples(Drawn(boxes, np.arange(PICTURES)), truth, "detect", ("red", "green", "blue"))


def job_for(**augment: float) -> TrainingJob:
    plan = Plan(augment=augment, batch_size=4, seed=3, workers=1, cache_mb=0)
    return TrainingJob(drawn_samples(), None, FRAME, plan)


def fed(job: TrainingJob, epochs: range = range(3)) -> Iterator[tuple[Batch, np.ndarray, np.ndarray, np.ndarray]]:
    """Batch, picture, boxes and labels of every sample as training sees them."""
    from convscope.layers.augment import Augmenter

    change = Augmenter(job.plan.augment, frame_hw=(64, 64), channels=3, fill=0.0)
    encode = BoxEncoder(FRAME, most_boxes(job), change.compiled())
    loader = job.train_loader()
    for epoch in epochs:
        for batch in loader.batches(epoch):
            pictures, truth = encode(batch)
            for row in range(len(pictures)):
                real = truth["labels"][row] != NO_LABEL
                yield batch, pictures[row], truth["boxes"][row][real], truth["labels"][row][real]


def colour_at(picture: np.ndarray, box: np.ndarray) -> np.ndarray:
    x, y = ((box[:2] + box[2:]) / 2).astype(int)
    return np.asarray(picture[y, x])


def test_every_box_of_a_mosaic_lies_on_its_rectangle_and_no_rectangle_is_without() -> None:
    counts = []
    for _, picture, boxes, labels in fed(job_for(mosaic=1.0, flip_horizontal=True)):
        marked = np.zeros((64, 64, 3), bool)
        for box, label in zip(boxes, labels.tolist()):
            assert colour_at(picture, box)[label] > 200
            left, top, right, bottom = np.round(box).astype(int)
            marked[max(0, top - 2) : bottom + 2, max(0, left - 2) : right + 2, label] = True
            for edge in (picture[top:bottom, left, label], picture[top:bottom, right - 1, label]):
                assert edge.mean() > 70  # the border pixel is at least partly covered
        bare = (picture > 128) & ~marked
        assert bare.sum() <= 3 * 0.25 * 20 * 15  # at most what is left of objects that are mostly cut off
        counts.append(len(boxes))
    assert 1 < np.mean(counts) <= 4 and max(counts) == 4


def test_the_chance_of_a_mosaic_is_the_planned_one_and_belongs_to_the_sample() -> None:
    whole = {}
    for batch in (b for e in range(30) for b in job_for(mosaic=0.4).train_loader().batches(e)):
        for index, boxes in zip(batch.indices.tolist(), batch.truth):
            whole[batch.epoch, index] = boxes.picture_hw == PICTURE_HW
    assert np.mean(list(whole.values())) == pytest.approx(0.6, abs=0.08)
    other = Loader(drawn_samples(), FRAME, batch_size=5, seed=3, augmentation=Augmentation(mosaic=0.4), workers=1)
    for batch in other.batches(2):
        for index, boxes in zip(batch.indices.tolist(), batch.truth):
            assert whole[2, index] == (boxes.picture_hw == PICTURE_HW)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mixed_pictures_have_the_boxes_of_both(kind: str) -> None:
    both, single = 0, 0
    for batch, picture, boxes, labels in fed(job_for(**{kind: 4.0, "mix_chance": 0.6}), range(4)):
        assert batch.partners is not None
        for box, label in zip(boxes, labels.tolist()):
            left, top, right, bottom = np.round(box).astype(int)
            inside = picture[top:bottom, left:right, label]
            shown, covered = (0.2, 0.8) if kind == "mixup" else (0.9, 0.2)  # CutMix may hide most of it
            assert (inside > shown * 255).mean() > covered
        both += len(boxes) == 2
        single += len(boxes) == 1
    assert single >= 8 and both >= 8


def test_a_box_that_hardly_shows_through_is_no_truth() -> None:
    batch = Batch(np.zeros((1, 64, 64, 3), np.uint8), drawn_samples().truth[:1], np.array([0]), draws={
        "mix_keep": np.array([0.1], np.float32), "mix_blend": np.array([0.1], np.float32),
        "mix_box": np.zeros((1, 4), np.float32)}, partners=np.zeros((1, 64, 64, 3), np.uint8),
        partner_truth=drawn_samples().truth[1:2])  # fmt: skip
    _, truth = BoxEncoder(FRAME, 4, lambda images, draws, partners: load_keras().ops.convert_to_tensor(images))(batch)
    assert truth["labels"].tolist() == [[1, NO_LABEL, NO_LABEL, NO_LABEL]]


def test_the_last_epochs_see_whole_pictures_and_rows_suffice() -> None:
    job = job_for(mosaic=1.0, mixup=4.0, flip_horizontal=True)
    loader = job.train_loader(calm_from=2)
    for epoch, calm in ((1, False), (2, True), (7, True)):
        for batch in loader.batches(epoch):
            assert (batch.partners is None) == calm
            assert all((boxes.picture_hw == PICTURE_HW) == calm for boxes in batch.truth)
            assert batch.draws is not None and "flip_horizontal" in batch.draws
    assert most_boxes(job) == 5  # four pictures and a partner, one box each
    assert most_boxes(job_for(mixup=1.0)) == 2 and most_boxes(job_for(flip_vertical=True)) == 1


def test_mosaics_are_refused_where_there_are_no_boxes() -> None:
    classed = Samples(drawn_samples().pictures, np.arange(PICTURES) % 3, "classify", ("red", "green", "blue"))
    with pytest.raises(PlanError, match=r"augment.mosaic = 0 for task classify"):
        check_plan(Plan(augment={"mosaic": 0.5}, batch_size=4), classed)
