"""What goes on inside a detector, as arrays: targets, proposals, what suppression removed and why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convscope.draw.box_looks import targets_picture
from convscope.draw.box_marks import box_colour
from convscope.errors import PlanError
from convscope.models.detector import DetectorOptions
from convscope.models.detector_looks import (
    box_looks,
    middle_anchors,
    proposals_of,
    removed_by_suppression,
    targets_of,
)
from convscope.models.detectors import build_detector
from convscope.records.box_looks import BoxLook, Removed, Targets
from convscope.records.boxes import Boxes, Found
from convscope.reporting.box_looks import box_looks_section
from reference import boxes_twin as twin
from unit.models.drawn_boxes import SIDE, drawn

SMALL = DetectorOptions(pyramid_channels=16, head_units=32, proposals=40)


def small(kind: str) -> Any:
    return build_detector(f"{kind}+simple-cnn", 2, frame_hw=(SIDE, SIDE), options=SMALL).model


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
    with pytest.raises(PlanError, match="one stage"):
        middle_anchors(small("yolo"))


@pytest.mark.backend
@pytest.mark.parametrize("kind", ["yolo", "faster-rcnn"])
def test_a_look_holds_what_goes_on_and_its_chapter_says_it(kind: str) -> None:
    model, (pictures, truth) = small(kind), drawn(2)
    marked = Boxes(truth["boxes"][0, :3], truth["labels"][0, :3].astype(np.int64), (SIDE, SIDE))
    known, unknown = box_looks(model, pictures, ["a.png", "b.png"], [marked, None], score_threshold=0.001)
    assert known.targets is not None and unknown.targets is None and known.picture.dtype == np.uint8
    assert (known.kept.scores > 0.001).all() and (known.removed.iou > 0.5).all()
    assert (known.removed.by < len(known.kept)).all()
    two = kind == "faster-rcnn"
    assert (known.proposals is not None, known.anchors is not None) == (two, two)
    section = box_looks_section([known, unknown], ("rectangle", "disc"), score_threshold=0.001)
    titles = [block.title for block in section.blocks]
    assert titles[0] == "Assigned targets" and ("Anchors" in titles) == ("Suspected objects" in titles) == two
    targets = section.blocks[0]
    assert "3 objects" in targets.tiles[0].lines[0] and targets.tiles[1].lines == ("nothing is known of it",)
    if two:
        assert known.anchors is not None and known.anchors.shape == (4 * 3, 4)
        middle = (known.anchors[:, :2] + known.anchors[:, 2:]) / 2
        assert np.abs(middle - SIDE / 2).max() <= 64  # the coarsest of four maps has cells of 64 pixels
        sides = np.sqrt(np.prod(known.anchors[:, 2:] - known.anchors[:, :2], axis=1)).reshape(4, 3)
        assert np.allclose(sides, np.array([[32], [64], [128], [256]]), rtol=1e-4)


def test_the_targets_are_painted_where_they_are() -> None:
    """One object of class 1, one point of it: a spot in that class's colour, and the dashed box around it."""
    truth = Boxes(np.array([[10, 10, 30, 30]], np.float32), np.array([1]), (40, 40))
    none = Found(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32), (40, 40))
    look = BoxLook("a.png", np.zeros((40, 40, 3), np.uint8), none, Removed(none, np.zeros(0, int), np.zeros(0)), truth,
                   Targets(np.array([[20.0, 20.0], [36.0, 36.0]]), np.array([0, -1]), np.array([1.0, 0]),
                           np.array([0, 0])))  # fmt: skip
    painted = targets_picture(look)
    scale = painted.shape[0] / 40
    colour = tuple(int(box_colour(1)[k : k + 2], 16) for k in (1, 3, 5))
    assert tuple(painted[round(20 * scale), round(20 * scale)]) == colour
    assert (painted[round(36 * scale), round(36 * scale)] == 0).all()
    assert (painted[round(10 * scale)] == colour).all(axis=-1).sum() > 50


@pytest.mark.parametrize("class_wise", [True, False])
def test_each_removed_box_names_the_kept_one_that_overlaps_it(class_wise: bool) -> None:
    rng = np.random.default_rng(2)
    low = rng.uniform(0, 40, (60, 2))
    xyxy = np.concatenate([low, low + rng.uniform(8, 30, (60, 2))], -1).astype(np.float32)
    every = Found(xyxy, rng.integers(0, 3, 60), rng.uniform(size=60).astype(np.float32), (70, 70))
    kept, removed = removed_by_suppression(every, iou_threshold=0.4, class_wise=class_wise)
    wanted = twin.greedy_nms(xyxy, every.scores, every.labels, threshold=0.4, least=-1, agnostic=not class_wise)
    assert np.array_equal(kept.xyxy, xyxy[wanted]) and len(kept.scores) + len(removed.by) == 60
    assert len(removed.by) > 5
    for k, (by, iou) in enumerate(zip(removed.by, removed.iou)):
        assert iou > 0.4 and iou == pytest.approx(twin.iou(removed.found.xyxy[k], kept.xyxy[by]), abs=1e-5)
        assert kept.scores[by] >= removed.found.scores[k]
        assert not class_wise or kept.labels[by] == removed.found.labels[k]


def test_no_candidates_are_nothing_kept_and_nothing_removed() -> None:
    empty = Found(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32), (8, 8))
    kept, removed = removed_by_suppression(empty)
    assert len(kept.scores) == len(removed.by) == 0
