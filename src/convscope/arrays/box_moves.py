"""Move boxes exactly as layers/augment moves the pixels: the same draws, the same affine map, forwards.

Colour, blur and noise move nothing. A turned box becomes the upright box around its four corners.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from convscope.arrays.boxes import box_areas, clip_boxes, overlaps
from convscope.records.augmentation import RAND_AUGMENT_OPS

VISIBLE = 0.25  # a box of which less is left in the frame is dropped: what is left no longer shows what it is
MIN_SIDE_PX = 1.0
# RandAugment at strength 1, as in layers/augment_geometry (a test holds them together)
ROTATE_DEG, SHEAR, TRANSLATE = 30.0, 0.3, 0.45


@dataclass(frozen=True, eq=False)
class Moved:
    """Boxes after the changes.

    Attributes:
        xyxy: (k, 4) float32, cut to the frame; all k boxes, also those that are not kept.
        kept: (k,) bool, at least `visible` of the box is left and both sides measure a pixel or more.
    """

    xyxy: np.ndarray
    kept: np.ndarray


def sample_draws(draws: Mapping[str, np.ndarray] | None, row: int) -> dict[str, np.ndarray]:
    """The draws of one sample of a batch: name -> its row."""
    return {name: np.asarray(value[row]) for name, value in (draws or {}).items()}


def forward_map(draws: Mapping[str, np.ndarray], frame_hw: tuple[int, int]) -> np.ndarray:
    """(3, 3) float64 matrix that takes (x, y, 1) of the picture to the changed picture, in pixels of the frame.

    The steps in their order: crop, scale, rotation, shift, flips, RandAugment's moves, each about the middle.
    """
    high, wide = frame_hw
    to_middle = _matrix(1, 0, 0, 1, -wide / 2, -high / 2)
    m = np.eye(3)
    if "crop" in draws:
        top, left, tall, across = (float(v) for v in draws["crop"])
        middle_x, middle_y = (left + across / 2 - 0.5) * wide, (top + tall / 2 - 0.5) * high
        m = _matrix(1 / across, 0, 0, 1 / tall, -middle_x / across, -middle_y / tall) @ m
    if "scale" in draws:
        m = _matrix(float(draws["scale"]), 0, 0, float(draws["scale"]), 0, 0) @ m
    if "rotate_deg" in draws:
        m = _turn(float(draws["rotate_deg"])) @ m
    if "shift" in draws:
        m = _matrix(1, 0, 0, 1, wide * float(draws["shift"][1]), high * float(draws["shift"][0])) @ m
    if "flip_horizontal" in draws and draws["flip_horizontal"] > 0.5:
        m = _matrix(-1, 0, 0, 1, 0, 0) @ m
    if "flip_vertical" in draws and draws["flip_vertical"] > 0.5:
        m = _matrix(1, 0, 0, -1, 0, 0) @ m
    for number, strength in draws.get("rand_augment", np.zeros((0, 2))):
        m = _rand_augment(RAND_AUGMENT_OPS[round(float(number))], float(strength), frame_hw) @ m
    return np.linalg.inv(to_middle) @ m @ to_middle


def _matrix(xx: float, xy: float, yx: float, yy: float, x0: float, y0: float) -> np.ndarray:
    """The map to (xx x + xy y + x0, yx x + yy y + y0)."""
    return np.array([[xx, xy, x0], [yx, yy, y0], [0, 0, 1]], np.float64)


def _turn(degrees: float) -> np.ndarray:
    """Counter-clockwise as seen; y points down."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return _matrix(cosine, sine, -sine, cosine, 0, 0)


def _rand_augment(name: str, strength: float, frame_hw: tuple[int, int]) -> np.ndarray:
    """The layer states these moves backwards; here each is undone to go forwards."""
    high, wide = frame_hw
    if name == "rotate":
        return _turn(ROTATE_DEG * strength)
    if name == "shear_x":
        return np.linalg.inv(_matrix(1, -SHEAR * strength, 0, 1, 0, 0))
    if name == "shear_y":
        return np.linalg.inv(_matrix(1, 0, -SHEAR * strength, 1, 0, 0))
    if name == "translate_x":
        return _matrix(1, 0, 0, 1, TRANSLATE * wide * strength, 0)
    if name == "translate_y":
        return _matrix(1, 0, 0, 1, 0, TRANSLATE * high * strength)
    return np.eye(3)


def move_points(points_xy: np.ndarray, draws: Mapping[str, np.ndarray], frame_hw: tuple[int, int]) -> np.ndarray:
    """(..., 2) x, y in pixels of the frame -> where they lie after the changes, float64; for outlines."""
    m = forward_map(draws, frame_hw)
    return np.asarray(points_xy, np.float64) @ m[:2, :2].T + m[:2, 2]


def move_boxes(
    xyxy: np.ndarray, draws: Mapping[str, np.ndarray], frame_hw: tuple[int, int], *, visible: float = VISIBLE
) -> Moved:
    """Move the boxes of one picture as its pixels are moved.

    Args:
        xyxy: (k, 4) pixels of the network frame.
        draws: of this sample, as `data/chance.draw` makes them (`sample_draws` takes a row of a batch).
        frame_hw: height and width of the frame in pixels.
        visible: least share of the moved box inside the frame and outside an erased rectangle.
    """
    corners = np.asarray(xyxy, np.float64)[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]
    moved = move_points(corners, draws, frame_hw)
    whole = np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1)
    hidden = np.zeros(len(whole))
    cut = clip_boxes(whole, frame_hw)
    if "erase" in draws:
        top, left, bottom, right = (float(v) for v in draws["erase"])
        high, wide = frame_hw
        hidden = overlaps(cut, np.array([[left * wide, top * high, right * wide, bottom * high]]))[:, 0]
    return Moved(cut.astype(np.float32), _is_kept(cut, box_areas(whole), hidden, visible))


def _is_kept(cut: np.ndarray, whole_areas: np.ndarray, hidden: np.ndarray, visible: float) -> np.ndarray:
    sides = cut[:, 2:] - cut[:, :2]
    return ((box_areas(cut) - hidden) >= visible * whole_areas) & (sides >= MIN_SIDE_PX).all(axis=1)


@dataclass(frozen=True, eq=False)
class Mixed:
    """Boxes of a picture that was mixed with another: own ones first, then the partner's.

    Attributes:
        xyxy: (k, 4) float32 pixels of the frame.
        labels: (k,) int64.
        weights: (k,) float32 share of the pixel values that comes from the box's own picture; for the loss.
    """

    xyxy: np.ndarray
    labels: np.ndarray
    weights: np.ndarray


def mix_boxes(
    own: tuple[np.ndarray, np.ndarray],
    partner: tuple[np.ndarray, np.ndarray],
    draws: Mapping[str, np.ndarray],
    frame_hw: tuple[int, int],
    *,
    visible: float = VISIBLE,
) -> Mixed:
    """Boxes of a sample and of its MixUp or CutMix partner in the mixed picture.

    Both must have been moved by this sample's draws already, as the pixels are.

    Args:
        own: (k, 4) boxes and (k,) labels.
        partner: likewise.
        draws: of this sample, with mix_blend and mix_box.
        frame_hw: height and width of the frame in pixels.
        visible: under CutMix the least share of a box that must be left.

    Source: Zhang et al. 2019, "Bag of freebies for training object detection", section 3.1 (MixUp keeps all boxes).
    """
    blend = float(draws["mix_blend"])
    high, wide = frame_hw
    top, left, bottom, right = (float(v) for v in draws["mix_box"])
    window = np.array([[left * wide, top * high, right * wide, bottom * high]])
    own_boxes, other = np.asarray(own[0], np.float64), np.asarray(partner[0], np.float64)
    if blend < 1:  # MixUp: everything shows through
        own_kept, other_kept = np.ones(len(own_boxes), bool), np.ones(len(other), bool)
    else:
        covered = overlaps(own_boxes, window)[:, 0]
        own_kept = box_areas(own_boxes) - covered >= visible * box_areas(own_boxes)
        cut = np.concatenate([np.maximum(other[:, :2], window[:, :2]), np.minimum(other[:, 2:], window[:, 2:])], axis=1)
        other_kept = _is_kept(cut, box_areas(other), np.zeros(len(cut)), visible)
        other = cut
    weights = [np.full(own_kept.sum(), blend), np.full(other_kept.sum(), 1 - blend if blend < 1 else 1.0)]
    return Mixed(
        np.concatenate([own_boxes[own_kept], other[other_kept]]).astype(np.float32),
        np.concatenate([np.asarray(own[1])[own_kept], np.asarray(partner[1])[other_kept]]).astype(np.int64),
        np.concatenate(weights).astype(np.float32),
    )
