"""What goes on inside a detector, as arrays: targets, proposals, what suppression removed and why."""

from __future__ import annotations

import numpy as np
import pytest

from convscope.errors import PlanError
from convscope.models.detector import Detector, DetectorOptions
from convscope.models.detector_looks import proposals_of, removed_by_suppression, targets_of
from convscope.models.detector_outputs import FoundBoxes
from convscope.models.detectors import build_detector
from reference import boxes_twin as twin
from unit.models.drawn_boxes import SIDE, drawn

SMALL = DetectorOptions(pyramid_channels=16, head_units=32, proposals=40)


def small(kind: str) -> Detector:
    return build_detector(f"{kind}+simple-cnn", 2, frame_hw=(SIDE, SIDE), options=SMALL)


@pytest.mark.backend
@pytest.mark.parametrize("kind", ["yolo", "faster-rcnn"])
def test_targets_lie_on_their_objects(kind: str) -> None:
    detector, (pictures, truth) = small(kind), drawn(1)
    boxes, labels = truth["boxes"][0, :3], truth["labels"][0, :3]
    found = targets_of(detector, pictures[0], boxes, labels)
    assert len(found.places) == len(found.index) == len(found.level) and set(found.index) >= {0, 1, 2, -1}
    middle = found.places if kind == "yolo" else (found.places[:, :2] + found.places[:, 2:]) / 2
    for k in range(3):
        mine = middle[found.index == k]
        assert ((mine > boxes[k, :2] - 8) & (mine < boxes[k, 2:] + 8)).all()
    assert (found.weight[found.index >= 0] >= 0).all() and (found.weight[found.index < 0] == 0).all()
    nothing = targets_of(detector, pictures[0], boxes[:0], labels[:0])
    assert (nothing.index == -1).all()


@pytest.mark.backend
def test_proposals_are_ranked_and_only_of_two_stages() -> None:
    boxes, scores = proposals_of(small("faster-rcnn"), drawn(1)[0][0])
    assert len(boxes) == len(scores) > 10 and (np.diff(scores) <= 0).all()
    assert boxes.min() >= 0 and boxes.max() <= SIDE


def test_a_detector_of_one_stage_has_no_proposals() -> None:
    with pytest.raises(PlanError, match="one stage"):
        proposals_of(small("yolo"), drawn(1)[0][0])


@pytest.mark.parametrize("class_wise", [True, False])
def test_each_removed_box_names_the_kept_one_that_overlaps_it(class_wise: bool) -> None:
    rng = np.random.default_rng(2)
    low = rng.uniform(0, 40, (60, 2))
    xyxy = np.concatenate([low, low + rng.uniform(8, 30, (60, 2))], -1).astype(np.float32)
    every = FoundBoxes(xyxy, rng.integers(0, 3, 60), rng.uniform(size=60).astype(np.float32))
    kept, removed = removed_by_suppression(every, iou_threshold=0.4, class_wise=class_wise)
    wanted = twin.greedy_nms(xyxy, every.scores, every.labels, threshold=0.4, least=-1, agnostic=not class_wise)
    assert np.array_equal(kept.xyxy, xyxy[wanted]) and len(kept.scores) + len(removed.by) == 60
    assert len(removed.by) > 5
    for k, (by, iou) in enumerate(zip(removed.by, removed.iou)):
        assert iou > 0.4 and iou == pytest.approx(twin.iou(removed.boxes.xyxy[k], kept.xyxy[by]), abs=1e-5)
        assert kept.scores[by] >= removed.boxes.scores[k]
        assert not class_wise or kept.labels[by] == removed.boxes.labels[k]


def test_no_candidates_are_nothing_kept_and_nothing_removed() -> None:
    empty = FoundBoxes(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32))
    kept, removed = removed_by_suppression(empty)
    assert len(kept.scores) == len(removed.by) == 0
