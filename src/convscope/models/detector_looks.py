"""What goes on inside a detector, as arrays to draw: targets, proposals, and what suppression removed and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from convscope.arrays.nms import suppress
from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.errors import PlanError
from convscope.layers.assign import match_by_overlap
from convscope.models.detector import Detector
from convscope.models.detector_outputs import FoundBoxes

keras = load_keras()
ops = keras.ops


@dataclass(frozen=True, eq=False)
class Targets:
    """What a picture's points or anchors have to say in training.

    Attributes:
        places: yolo: (a, 2) x and y; faster-rcnn: (a, 4) xyxy anchors; pixels of the frame.
        index: (a,) place of its object in the truth; -1 background, -2 ignored.
        weight: (a,) target score in 0..1.
        level: (a,) which map it belongs to, 0 the finest.
    """

    places: np.ndarray
    index: np.ndarray
    weight: np.ndarray
    level: np.ndarray


def targets_of(detector: Detector, picture: np.ndarray, truth: np.ndarray, labels: np.ndarray) -> Targets:
    """The targets that one picture gives now; a yolo's depend on what it predicts.

    Args:
        detector: as built or trained.
        picture: (h, w, channels) pixels 0..255, the size of the frame.
        truth: (k, 4) xyxy in pixels of the frame.
        labels: (k,) class index.
    """
    if not len(labels):  # one empty place: there is always something to compare with
        truth, labels = np.zeros((1, 4), np.float32), np.array([-1])
    y = {"boxes": ops.convert_to_tensor(truth[None].astype("float32")),
         "labels": ops.convert_to_tensor(labels[None].astype("int32"))}  # fmt: skip
    if detector.kind == "yolo":
        return _points(detector, picture, y)
    proposals = detector.model.get_layer("proposals")
    half = len(proposals.input) // 2
    levels = proposals.anchors_of([tuple(x.shape[1:3]) for x in proposals.input[:half]])
    anchors = np.concatenate(levels)
    found = match_by_overlap(ops.convert_to_tensor(anchors[None]), y["boxes"], y["labels"], positive=0.7, negative=0.3,
                             each_object=True)  # fmt: skip
    index = to_numpy(found)[0]
    return Targets(anchors, index, (index >= 0).astype(np.float32), _levels([len(a) for a in levels]))


def _points(detector: Detector, picture: np.ndarray, y: dict[str, Any]) -> Targets:
    model = detector.training_model
    found = model.assigned(y, model(ops.convert_to_tensor(picture[None].astype("float32")), training=False))
    counts = [h * w for h, w in detector.model.get_layer("boxes").maps_hw]
    return Targets(model.points, to_numpy(found.index)[0], to_numpy(found.weight)[0], _levels(counts))


def _levels(counts: list[int]) -> np.ndarray:
    return np.repeat(np.arange(len(counts)), counts)


def proposals_of(detector: Detector, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where faster-rcnn's first stage suspects an object: (k, 4) xyxy and (k,) sureness in 0..1, the surest first.

    Raises:
        PlanError: a detector of one stage.
    """
    if detector.kind != "faster-rcnn":
        raise PlanError(f"expected faster-rcnn to look at proposals, got {detector.name}; it has one stage only")
    raw = detector.model(ops.convert_to_tensor(picture[None].astype("float32")), training=False)
    boxes, scores = to_numpy(raw["proposals"])[0], to_numpy(raw["proposal_scores"])[0]
    return boxes[scores > 0], scores[scores > 0]


class Removed(NamedTuple):
    """Boxes that suppression removed, and why.

    Attributes:
        boxes: what was removed, the surest first.
        by: (k,) place in what was kept of the surest box that overlaps it.
        iou: (k,) how much they overlap.
    """

    boxes: FoundBoxes
    by: np.ndarray
    iou: np.ndarray


def removed_by_suppression(
    candidates: FoundBoxes, *, iou_threshold: float = 0.5, class_wise: bool = True
) -> tuple[FoundBoxes, Removed]:
    """Greedy suppression step by step, each removed box with the kept one that overlaps it and is surest.

    Args:
        candidates: boxes of one picture in any order.
        iou_threshold: boxes that overlap more are one object.
        class_wise: boxes of other classes never meet.

    Returns:
        What was kept, the surest first, and what was removed.
    """
    done = suppress(
        candidates.xyxy, candidates.scores, labels=candidates.labels if class_wise else None, iou_above=iou_threshold
    )
    order = np.argsort(-candidates.scores, kind="stable")
    gone = order[done.removed_by[order] >= 0]
    place = np.zeros(len(order), int)
    place[done.kept] = np.arange(len(done.kept))
    removed = Removed(_rows(candidates, gone), place[done.removed_by[gone]], done.overlap[gone])
    return _rows(candidates, done.kept), removed


def _rows(boxes: FoundBoxes, rows: np.ndarray) -> FoundBoxes:
    return FoundBoxes(boxes.xyxy[rows], boxes.labels[rows], boxes.scores[rows])
