"""From a detector's raw boxes to what it found: the surest, overlaps removed; in NumPy, the same everywhere."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from convscope.arrays.nms import suppress, suppress_softly
from convscope.backend.tensors import to_numpy
from convscope.errors import PlanError
from convscope.registry import nearest

MODES = ("class-wise", "agnostic", "soft")  # as in layers/nms
CANDIDATES = 1000  # the surest pairs of box and class that go into suppression


class FoundBoxes(NamedTuple):
    """What was found in one picture, the surest first.

    Attributes:
        xyxy: (k, 4) float32 in pixels of the frame.
        labels: (k,) int64.
        scores: (k,) float32 in 0..1.
    """

    xyxy: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


def decode_outputs(
    outputs: dict[str, Any],
    frame_hw: tuple[int, int],
    *,
    score_threshold: float = 0.05,
    iou_threshold: float = 0.5,
    max_detections: int = 100,
    mode: str = "class-wise",
) -> list[FoundBoxes]:
    """What a detector found in each picture of a batch.

    Args:
        outputs: of `Detector.model`, as tensors or arrays.
        frame_hw: height and width of the frame in pixels; boxes are cut at its border.
        score_threshold: a box at or below it is left out.
        iou_threshold: boxes that overlap more are one object; not used by "soft".
        max_detections: at most this many in a picture.
        mode: "class-wise", "agnostic" or "soft", see `layers.nms.suppress`.

    Returns:
        For each picture its boxes; a box without area is left out.

    Raises:
        PlanError: an unknown mode or thresholds out of range.
    """
    if mode not in MODES:
        raise PlanError(f"unknown way of suppression {mode!r}; {nearest(mode, MODES)}")
    if not (0 <= score_threshold < 1 and 0 < iou_threshold <= 1 and max_detections >= 1):
        raise PlanError(
            "expected score_threshold in 0..1, iou_threshold above 0 and at most 1, max_detections of at least 1, got "
            f"{score_threshold}, {iou_threshold}, {max_detections}"
        )
    boxes, scores = (np.asarray(_array(outputs[name]), np.float32) for name in ("boxes", "scores"))
    found = []
    for box, score in zip(boxes, scores):
        surest = candidates(box, score, frame_hw, score_threshold)
        found.append(_suppressed(surest, mode, score_threshold, iou_threshold, max_detections))
    return found


def _array(values: Any) -> np.ndarray:
    return values if isinstance(values, np.ndarray) else to_numpy(values)


def candidates(boxes: np.ndarray, scores: np.ndarray, frame_hw: tuple[int, int], above: float) -> FoundBoxes:
    """The surest pairs of box and class of one picture, at most CANDIDATES, before suppression.

    Args:
        boxes: (k, 4), or (k, classes, 4) with a box for each class; cut at the frame's border.
        scores: (k, classes).
        frame_hw: height and width of the frame in pixels.
        above: a score at or below it is left out, and so are boxes without area.
    """
    classes = scores.shape[1]
    place = np.flatnonzero(scores.ravel() > above)
    place = place[np.argsort(-scores.ravel()[place], kind="stable")[:CANDIDATES]]
    row, label = np.divmod(place, classes)
    border = np.tile(np.array(frame_hw, np.float32)[::-1], 2)
    xyxy = np.clip(boxes[row, label] if boxes.ndim == 3 else boxes[row], 0.0, border)
    real = (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
    return FoundBoxes(xyxy[real], label[real].astype(np.int64), scores.ravel()[place][real])


def _suppressed(surest: FoundBoxes, mode: str, score: float, iou: float, most: int) -> FoundBoxes:
    labels = None if mode == "agnostic" else surest.labels
    if mode == "soft":
        done = suppress_softly(surest.xyxy, surest.scores, labels=labels, score_at_least=score, most=most)
    else:
        done = suppress(surest.xyxy, surest.scores, labels=labels, iou_above=iou, most=most)
    kept = done.kept
    return FoundBoxes(surest.xyxy[kept], surest.labels[kept], done.scores[kept].astype(np.float32))
