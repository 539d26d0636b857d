"""How the boxes of one picture came about: targets, anchors, suspected objects, and what suppression removed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convscope.records.boxes import Boxes, Found


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


@dataclass(frozen=True, eq=False)
class Removed:
    """Boxes that suppression removed, and why.

    Attributes:
        found: what was removed, the surest first.
        by: (k,) place in what was kept of the surest box that overlaps it.
        iou: (k,) how much they overlap.
    """

    found: Found
    by: np.ndarray
    iou: np.ndarray


@dataclass(frozen=True, eq=False)
class BoxLook:
    """One picture in the network's frame.

    Attributes:
        key: the picture's name.
        picture: (h, w, 1 or 3) uint8.
        kept: boxes above the score threshold that suppression left.
        removed: boxes above the score threshold that it took away.
        truth: what is there, or None.
        targets: what each place has to say of that truth; None without truth.
        anchors: (k, 4) xyxy of the middle cell of each map, fine to coarse; empty for a yolo, which has none.
        proposals: where the first stage suspects an object, the surest first; None for a yolo.
    """

    key: str
    picture: np.ndarray
    kept: Found
    removed: Removed
    truth: Boxes | None = None
    targets: Targets | None = None
    anchors: np.ndarray | None = None
    proposals: Found | None = None
