"""Boxes as arrays: forms, areas, overlap, cutting to the picture, moving between picture and network frame.

A box is left, top, right, bottom ("xyxy") in pixels; edges, not centres of pixels.
"""

from __future__ import annotations

import numpy as np

from convscope.records.geometry import Letterbox


def box_areas(xyxy: np.ndarray) -> np.ndarray:
    """(..., 4) -> (...) float64 areas in square pixels; 0 for a box without extent."""
    sides = np.maximum(np.asarray(xyxy, np.float64)[..., 2:] - np.asarray(xyxy, np.float64)[..., :2], 0)
    return sides[..., 0] * sides[..., 1]


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n, 4) and (m, 4) -> (n, m) float64 common areas in square pixels."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    wide = np.minimum(a[:, None, 2], b[None, :, 2]) - np.maximum(a[:, None, 0], b[None, :, 0])
    tall = np.minimum(a[:, None, 3], b[None, :, 3]) - np.maximum(a[:, None, 1], b[None, :, 1])
    return np.maximum(wide, 0) * np.maximum(tall, 0)


def iou_matrix(a: np.ndarray, b: np.ndarray, *, crowd: np.ndarray | None = None) -> np.ndarray:
    """(n, 4) and (m, 4) -> (n, m) float64 intersection over union, 0 where the union is empty.

    Args:
        a: found boxes, xyxy.
        b: true boxes, xyxy.
        crowd: (m,) bool; for these the overlap is divided by the area of `a` alone, as COCO does for groups.
    """
    common = overlaps(a, b)
    own, other = box_areas(a)[:, None], box_areas(b)[None]
    union = own + other - common
    if crowd is not None:
        union = np.where(np.asarray(crowd, bool)[None], own, union)
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def paired_iou(a: np.ndarray, b: np.ndarray, *, crowd: np.ndarray | None = None) -> np.ndarray:
    """(n, 4) and (n, 4) -> (n,) float64 intersection over union of each pair; `crowd` as in `iou_matrix`."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    wide = np.minimum(a[:, 2], b[:, 2]) - np.maximum(a[:, 0], b[:, 0])
    tall = np.minimum(a[:, 3], b[:, 3]) - np.maximum(a[:, 1], b[:, 1])
    common = np.maximum(wide, 0) * np.maximum(tall, 0)
    own = box_areas(a)
    union = own + box_areas(b) - common
    if crowd is not None:
        union = np.where(crowd, own, union)
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def xywh_from_xyxy(xyxy: np.ndarray) -> np.ndarray:
    """Left, top, right, bottom -> left, top, width, height (COCO's form); keeps the dtype."""
    return np.concatenate([xyxy[..., :2], xyxy[..., 2:] - xyxy[..., :2]], axis=-1)


def xyxy_from_xywh(xywh: np.ndarray) -> np.ndarray:
    """Left, top, width, height -> left, top, right, bottom; keeps the dtype."""
    return np.concatenate([xywh[..., :2], xywh[..., :2] + xywh[..., 2:]], axis=-1)


def cxcywh_from_xyxy(xyxy: np.ndarray) -> np.ndarray:
    """Left, top, right, bottom -> centre x, centre y, width, height (YOLO's form); keeps the dtype."""
    return np.concatenate([(xyxy[..., :2] + xyxy[..., 2:]) / 2, xyxy[..., 2:] - xyxy[..., :2]], axis=-1)


def xyxy_from_cxcywh(cxcywh: np.ndarray) -> np.ndarray:
    """Centre x, centre y, width, height -> left, top, right, bottom; keeps the dtype."""
    half = cxcywh[..., 2:] / 2
    return np.concatenate([cxcywh[..., :2] - half, cxcywh[..., :2] + half], axis=-1)


def clip_boxes(xyxy: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    """Cut (..., 4) boxes to a picture of height and width `hw` in pixels; keeps the dtype."""
    high, wide = hw
    return np.clip(xyxy, 0, np.array([wide, high, wide, high], np.asarray(xyxy).dtype))


def boxes_to_network(xyxy: np.ndarray, place: Letterbox) -> np.ndarray:
    """Map (n, 4) boxes from picture pixels to network pixels; float32, cut to the part of the picture that is shown."""
    inside = clip_boxes(np.asarray(xyxy, np.float64), place.picture_hw).reshape(-1, 2, 2)[..., ::-1]
    return clip_boxes(place.to_network(inside)[..., ::-1].reshape(-1, 4), place.network_hw).astype(np.float32)


def boxes_to_picture(xyxy: np.ndarray, place: Letterbox) -> np.ndarray:
    """Map (n, 4) boxes from network pixels back to picture pixels; float32, cut to the picture."""
    points = np.asarray(xyxy, np.float64).reshape(-1, 2, 2)[..., ::-1]
    back = place.to_picture(points)[..., ::-1].reshape(-1, 4)
    return clip_boxes(back, place.picture_hw).astype(np.float32)
