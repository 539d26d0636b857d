"""Outlines (COCO polygons, YOLO-seg) to masks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from convscope.arrays.polygons import fill_polygons
from convscope.data.naming import shown
from convscope.errors import DataError
from convscope.records.boxes import Boxes
from convscope.records.masks import VOID
from convscope.records.samples import Samples, SetAside


@dataclass(frozen=True, eq=False)
class OutlineMask:
    """The outlines of one picture as a mask; a MaskTruth. Background is 0, the boxes' class c becomes c + 1.

    Where objects overlap the smaller one lies on top. A crowd is VOID over its whole box: its runs are not kept.
    """

    boxes: Boxes

    @property
    def picture_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.boxes.picture_hw

    def fingerprint(self) -> bytes:
        """Boxes and outlines."""
        outlines = [outline.tobytes() for some in self.boxes.polygons or () for outline in some]
        return b"\0".join([self.boxes.fingerprint(), *outlines])

    def read(self) -> np.ndarray:
        """(height, width) uint8 class index."""
        boxes, mask = self.boxes, np.zeros(self.boxes.picture_hw, np.uint8)
        for left, top, right, bottom in boxes.xyxy[boxes.is_crowd].tolist():
            mask[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = VOID
        filled = [
            (fill_polygons(outlines, boxes.picture_hw), int(label) + 1)
            for outlines, label, crowd in zip(boxes.polygons or (), boxes.labels, boxes.is_crowd)
            if not crowd
        ]
        for region, label in sorted(filled, key=lambda pair: -int(pair[0].sum())):
            mask[region] = label
        return mask


def masks_of_outlines(samples: Samples) -> Samples:
    """Samples of task detect whose boxes have outlines, as samples of task segment.

    Pictures on which some box has no outline are set aside by name.

    Raises:
        DataError: no outline anywhere, or more than 254 classes.
    """
    boxes: list[Boxes] = [] if samples.truth is None else list(samples.truth)
    if not any(b.polygons for b in boxes):
        raise DataError("expected outlines (COCO polygons, YOLO-seg lines) to make masks of, found only boxes")
    if len(samples.classes) > VOID - 1:
        raise DataError(f"expected at most {VOID - 1} classes for masks, got {len(samples.classes)}")
    kept, left = [], list(samples.set_aside)
    for i, found in enumerate(boxes):
        bare = _without_outline(found)
        if bare:
            reason = f"{bare} of {len(found)} objects have a box but no outline"
            left.append(SetAside(shown(samples.pictures.keys[i]), reason))
        else:
            kept.append(i)
    truth = np.empty(len(boxes), object)
    truth[:] = [OutlineMask(b) for b in boxes]
    whole = replace(
        samples,
        truth=truth,
        task="segment",
        classes=("background", *samples.classes),
        source=f"{samples.source}, outlines filled",
    )
    return replace(whole.subset(np.array(kept, np.int64)), set_aside=tuple(left))


def _without_outline(boxes: Boxes) -> int:
    outlines = boxes.polygons or ((),) * len(boxes)
    return sum(not parts and not crowd for parts, crowd in zip(outlines, boxes.is_crowd))
