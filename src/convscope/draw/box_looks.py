"""How boxes come about, painted on the picture: targets on their places, anchors, suspected objects, removed boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from convscope.arrays.boxes import iou_matrix
from convscope.draw.box_marks import Shown, box_colour
from convscope.draw.boxes import boxes_picture
from convscope.draw.png import as_rgb
from convscope.records.box_looks import BoxLook
from convscope.records.boxes import Boxes, Found

LONGEST_PX = 720  # of a painted picture
FOUND_IOU = 0.5
GREY, WHITE, DARK = "#8a9097", "#ffffff", "#15181c"
_MOST_ANCHORS = 400


def enlarged(picture: np.ndarray, longest_px: int = LONGEST_PX) -> tuple[np.ndarray, float]:
    """(h, w, 3) uint8 of about that longer side, and how many of its pixels one pixel of the frame has."""
    rgb = as_rgb(picture)
    high, wide = rgb.shape[:2]
    scale = longest_px / max(high, wide)
    size = (max(1, round(wide * scale)), max(1, round(high * scale)))
    return np.asarray(Image.fromarray(np.ascontiguousarray(rgb)).resize(size, Image.Resampling.BICUBIC)), scale


def targets_picture(look: BoxLook) -> np.ndarray:
    """(h, w, 3) uint8: true boxes dashed, and each point or anchor that answers for one in the colour of its class.

    A point is the larger, the higher its target score; an anchor is a thin box.
    """
    truth, targets = look.truth, look.targets
    if truth is None or targets is None:
        return enlarged(look.picture)[0]
    values, scale = enlarged(look.picture)
    values = boxes_picture(values, Shown(None, _scaled(truth, scale)), [""] * (int(truth.labels.max(initial=0)) + 1))
    image = Image.fromarray(values)
    brush = ImageDraw.Draw(image)
    chosen = np.flatnonzero(targets.index >= 0)
    for place in chosen[np.argsort(targets.weight[chosen], kind="stable")][-_MOST_ANCHORS:].tolist():
        colour = box_colour(int(truth.labels[targets.index[place]]))
        spot = targets.places[place] * scale
        if len(spot) == 2:
            radius = 2.5 + 4.5 * float(targets.weight[place])
            around = (spot[0] - radius, spot[1] - radius, spot[0] + radius, spot[1] + radius)
            brush.ellipse(around, fill=colour, outline=WHITE)
        else:
            _thin_box(brush, spot, colour)
    return np.asarray(image)


def _scaled(truth: Boxes, scale: float) -> Boxes:
    return replace(truth, xyxy=(truth.xyxy * scale).astype(np.float32))


def _thin_box(brush: ImageDraw.ImageDraw, xyxy: np.ndarray, colour: str) -> None:
    corners = tuple(float(v) for v in xyxy)
    brush.rectangle(corners, outline=WHITE, width=3)
    brush.rectangle(corners, outline=colour, width=1)


def anchors_picture(look: BoxLook) -> np.ndarray:
    """(h, w, 3) uint8: the anchors of the middle cell of each map, a colour for each map."""
    values, scale = enlarged(look.picture)
    image = Image.fromarray(values)
    brush = ImageDraw.Draw(image)
    anchors = np.zeros((0, 4)) if look.anchors is None else look.anchors
    sizes = np.round(np.sqrt(np.prod(anchors[:, 2:] - anchors[:, :2], axis=1)), 1)
    for level, size in reversed(list(enumerate(np.unique(sizes).tolist()))):
        for anchor in anchors[sizes == size]:
            corners = tuple(float(v) * scale for v in anchor)
            brush.rectangle(corners, outline=WHITE, width=5)
            brush.rectangle(corners, outline=box_colour(level), width=3)
    return np.asarray(image)


def reached(look: BoxLook) -> np.ndarray:
    """(k,) bool for each true box: whether some proposal overlaps it by at least half."""
    if look.truth is None or look.proposals is None or not len(look.truth):
        return np.zeros(0, bool)
    if not len(look.proposals):
        return np.zeros(len(look.truth), bool)
    return np.asarray(iou_matrix(look.proposals.xyxy, look.truth.xyxy).max(axis=0) >= FOUND_IOU)


def proposals_picture(look: BoxLook) -> np.ndarray:
    """(h, w, 3) uint8: suspected objects; green-blue where they overlap a true box by half or more, else grey."""
    values, scale = enlarged(look.picture)
    image = Image.fromarray(values)
    brush = ImageDraw.Draw(image)
    found = look.proposals
    if found is None:
        return values
    right = np.ones(len(found), bool)
    if look.truth is not None:
        right = iou_matrix(found.xyxy, look.truth.xyxy).max(axis=1, initial=0.0) >= FOUND_IOU
    for i in np.argsort(found.scores + right, kind="stable").tolist():
        _thin_box(brush, found.xyxy[i] * scale, box_colour(0) if right[i] else GREY)
    return np.asarray(image)


def suppression_picture(look: BoxLook, classes: Sequence[str]) -> np.ndarray:
    """(h, w, 3) uint8: what suppression left, with its scores, over what it removed, thin and dark."""
    values, scale = enlarged(look.picture)
    image = Image.fromarray(values)
    brush = ImageDraw.Draw(image)
    for box in look.removed.found.xyxy[::-1]:
        _thin_box(brush, box * scale, DARK)
    kept = look.kept
    moved = Found((kept.xyxy * scale).astype(np.float32), kept.labels, kept.scores, kept.picture_hw)
    return boxes_picture(np.asarray(image), Shown(moved, None, score_threshold=0.0), classes)
