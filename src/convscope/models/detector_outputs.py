"""From a detector's raw boxes to what it found: the surest candidates, overlaps removed, on any back end."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from convscope.backend.selection import load_keras
from convscope.backend.tensors import compiled, to_numpy
from convscope.errors import PlanError
from convscope.layers.boxes import clipped
from convscope.layers.nms import MODES, suppress
from convscope.registry import nearest

keras = load_keras()
ops = keras.ops

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


def candidates(boxes: Any, scores: Any, most: int = CANDIDATES) -> tuple[Any, Any, Any]:
    """The surest pairs of box and class.

    Args:
        boxes: (n, k, 4), or (n, k, classes, 4) with a box for each class.
        scores: (n, k, classes).
        most: how many, less when there are fewer.

    Returns:
        (n, m, 4) boxes, (n, m) scores, (n, m) int32 labels, the surest first.
    """
    k, classes = scores.shape[1], scores.shape[2]
    score, place = ops.top_k(ops.reshape(scores, (-1, k * classes)), min(most, k * classes))
    place = ops.cast(place, "int32")
    per_class = len(boxes.shape) == 4
    row = place if per_class else place // classes
    flat = ops.reshape(boxes, (-1, k * classes, 4)) if per_class else boxes
    return ops.take_along_axis(flat, ops.expand_dims(row, -1), axis=1), score, place % classes


@lru_cache(maxsize=16)
def _finder(
    frame_hw: tuple[int, int], score_threshold: float, iou_threshold: float, most: int, mode: str
) -> Callable[[Any, Any], Any]:
    def find(boxes: Any, scores: Any) -> tuple[Any, Any, Any, Any]:
        box, score, label = candidates(ops.cast(boxes, "float32"), ops.cast(scores, "float32"))
        box = clipped(box, frame_hw)
        kept = suppress(
            box, score, label, most=most, iou_threshold=iou_threshold, score_threshold=score_threshold, mode=mode
        )
        chosen = ops.take_along_axis(box, ops.expand_dims(kept.index, -1), axis=1)
        return chosen, ops.take_along_axis(label, kept.index, axis=1), kept.score, kept.valid

    return compiled(find)


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
    hw = (int(frame_hw[0]), int(frame_hw[1]))
    find = _finder(hw, float(score_threshold), float(iou_threshold), int(max_detections), mode)
    made = find(ops.convert_to_tensor(outputs["boxes"]), ops.convert_to_tensor(outputs["scores"]))
    return [_of_picture(*rows) for rows in zip(*(to_numpy(x) for x in made))]


def _of_picture(box: np.ndarray, label: np.ndarray, score: np.ndarray, valid: np.ndarray) -> FoundBoxes:
    real = valid & (box[:, 2] > box[:, 0]) & (box[:, 3] > box[:, 1])
    return FoundBoxes(box[real].astype(np.float32), label[real].astype(np.int64), score[real].astype(np.float32))
