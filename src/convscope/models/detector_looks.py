"""What goes on inside a detector, as records to draw: targets, proposals, and what suppression removed and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convscope.arrays.nms import suppress
from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.errors import PlanError
from convscope.layers.assign import match_by_overlap
from convscope.layers.found_boxes import PointBoxes
from convscope.layers.proposals import Proposals
from convscope.models.detector_outputs import candidates
from convscope.models.yolo_training import YoloTraining
from convscope.records.box_looks import BoxLook, Removed, Targets
from convscope.records.boxes import Boxes, Found

keras = load_keras()
ops = keras.ops

SUSPECTED = 100  # proposals that are looked at


def has_two_stages(model: Any) -> bool:
    """Whether a detector's inference graph is a faster-rcnn."""
    return any(isinstance(layer, Proposals) for layer in model.layers)


def has_targets(model: Any) -> bool:
    """Whether it is known how this detector learns: not of one that was made elsewhere."""
    return any(isinstance(layer, (Proposals, PointBoxes)) for layer in model.layers)


def targets_of(model: Any, picture: np.ndarray, truth: np.ndarray, labels: np.ndarray) -> Targets:
    """The targets that one picture gives now; a yolo's depend on what it predicts.

    Args:
        model: a detector's inference graph, as built, trained or opened.
        picture: (h, w, channels) pixels 0..255, the size of the frame.
        truth: (k, 4) xyxy in pixels of the frame.
        labels: (k,) class index.
    """
    if not len(labels):  # one empty place: there is always something to compare with
        truth, labels = np.zeros((1, 4), np.float32), np.array([-1])
    y = {"boxes": ops.convert_to_tensor(truth[None].astype("float32")),
         "labels": ops.convert_to_tensor(labels[None].astype("int32"))}  # fmt: skip
    if not has_two_stages(model):
        return _points(model, picture, y)
    levels = _anchors(model)
    anchors = np.concatenate(levels)
    found = match_by_overlap(ops.convert_to_tensor(anchors[None]), y["boxes"], y["labels"], positive=0.7, negative=0.3,
                             each_object=True)  # fmt: skip
    index = to_numpy(found)[0]
    return Targets(anchors, index, (index >= 0).astype(np.float32), _levels([len(a) for a in levels]))


def _points(model: Any, picture: np.ndarray, y: dict[str, Any]) -> Targets:
    training = YoloTraining(model)
    found = training.assigned(y, training(ops.convert_to_tensor(picture[None].astype("float32")), training=False))
    counts = [h * w for h, w in model.get_layer("boxes").maps_hw]
    return Targets(training.points, to_numpy(found.index)[0], to_numpy(found.weight)[0], _levels(counts))


def _anchors(model: Any) -> list[np.ndarray]:
    """Of each map its anchors, (a, 4)."""
    layer = model.get_layer("proposals")
    half = len(layer.input) // 2
    return [np.asarray(a) for a in layer.anchors_of([tuple(x.shape[1:3]) for x in layer.input[:half]])]


def _levels(counts: list[int]) -> np.ndarray:
    return np.repeat(np.arange(len(counts)), counts)


def middle_anchors(model: Any) -> np.ndarray:
    """(maps * ratios, 4) xyxy: the anchors of the cell nearest to the middle of the frame, map by map, fine to coarse.

    Raises:
        PlanError: a detector of one stage, which has none.
    """
    _need_two_stages(model, "anchors")
    ratios = len(model.get_layer("proposals").anchor_ratios)
    middle = np.array(model.input_shape[2:0:-1]) / 2
    chosen = []
    for anchors in _anchors(model):
        centres = (anchors[:, :2] + anchors[:, 2:]) / 2
        first = int(np.argmin(np.square(centres - middle).sum(axis=1))) // ratios * ratios
        chosen.append(anchors[first : first + ratios])
    return np.concatenate(chosen)


def proposals_of(model: Any, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where faster-rcnn's first stage suspects an object: (k, 4) xyxy and (k,) sureness in 0..1, the surest first.

    Raises:
        PlanError: a detector of one stage.
    """
    _need_two_stages(model, "proposals")
    return _proposals(_raw(model, picture))


def _proposals(raw: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    boxes, scores = raw["proposals"][0], raw["proposal_scores"][0]
    return boxes[scores > 0], scores[scores > 0]


def _need_two_stages(model: Any, what: str) -> None:
    if not has_two_stages(model):
        raise PlanError(f"expected faster-rcnn to look at {what}, got {model.name}; it has one stage only")


def _raw(model: Any, picture: np.ndarray) -> dict[str, np.ndarray]:
    outputs = model(ops.convert_to_tensor(picture[None].astype("float32")), training=False)
    return {name: to_numpy(value) for name, value in outputs.items()}


def removed_by_suppression(
    every: Found, *, iou_threshold: float = 0.5, class_wise: bool = True
) -> tuple[Found, Removed]:
    """Greedy suppression, each removed box with the kept one that overlaps it and is surest.

    Args:
        every: boxes of one picture in any order.
        iou_threshold: boxes that overlap more are one object.
        class_wise: boxes of other classes never meet.

    Returns:
        What was kept, the surest first, and what was removed.
    """
    done = suppress(every.xyxy, every.scores, labels=every.labels if class_wise else None, iou_above=iou_threshold)
    order = np.argsort(-every.scores, kind="stable")
    gone = order[done.removed_by[order] >= 0]
    place = np.zeros(len(order), int)
    place[done.kept] = np.arange(len(done.kept))
    return _rows(every, done.kept), Removed(_rows(every, gone), place[done.removed_by[gone]], done.overlap[gone])


def _rows(found: Found, rows: np.ndarray) -> Found:
    return Found(found.xyxy[rows], found.labels[rows], found.scores[rows], found.picture_hw)


def box_looks(
    model: Any,
    pictures: np.ndarray,
    keys: Sequence[str],
    truths: Sequence[Boxes | None],
    *,
    score_threshold: float = 0.25,
    shown: np.ndarray | None = None,
) -> list[BoxLook]:
    """How the boxes of some pictures come about.

    Args:
        model: a detector's inference graph; of one made elsewhere there are no targets, anchors and proposals.
        pictures: (n, h, w, channels) as it takes them: of our own uint8 or float 0..255 in the frame.
        keys: their names.
        truths: for each the boxes in pixels of the frame, or None where nothing is known.
        score_threshold: boxes below it are left out.
        shown: (n, h, w, channels) values 0..255 for the eye; None for `pictures` themselves.
    """
    found, eyes, known = [], pictures if shown is None else shown, has_targets(model)
    for picture, eye, key, truth in zip(pictures, eyes, keys, truths, strict=True):
        raw, hw = _raw(model, picture), (int(picture.shape[0]), int(picture.shape[1]))
        surest = candidates(raw["boxes"][0], raw["scores"][0], hw, score_threshold)
        kept, removed = removed_by_suppression(Found(surest.xyxy, surest.labels, surest.scores, hw))
        two = has_two_stages(model)
        suspected = None
        if two:
            boxes, scores = (x[:SUSPECTED] for x in _proposals(raw))
            suspected = Found(boxes, np.zeros(len(boxes), np.int64), scores, hw)
        found.append(
            BoxLook(
                key, np.clip(eye, 0, 255).astype(np.uint8), kept, removed, truth,
                None if truth is None or not known else targets_of(model, picture, truth.xyxy, truth.labels),
                middle_anchors(model) if two else None, suspected,
            )
        )  # fmt: skip
    return found
