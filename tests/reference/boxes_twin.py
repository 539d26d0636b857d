"""Literal NumPy twins of the detectors' arithmetic: loops over single boxes, nothing shared with the library."""

from __future__ import annotations

import math

import numpy as np


def iou(a: np.ndarray, b: np.ndarray) -> float:
    across = min(a[2], b[2]) - max(a[0], b[0])
    down = min(a[3], b[3]) - max(a[1], b[1])
    both = max(across, 0.0) * max(down, 0.0)
    union = area(a) + area(b) - both
    return both / union if union > 0 else 0.0


def area(a: np.ndarray) -> float:
    return max(a[2] - a[0], 0.0) * max(a[3] - a[1], 0.0)


def giou(a: np.ndarray, b: np.ndarray) -> float:
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    both = iou(a, b)
    union = (area(a) + area(b)) / (1 + both)  # because both areas = union + intersection
    return both - (hull - union) / hull


def ciou(a: np.ndarray, b: np.ndarray) -> float:
    wide, high = max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])
    shift = ((a[0] + a[2] - b[0] - b[2]) ** 2 + (a[1] + a[3] - b[1] - b[3]) ** 2) / 4
    v = 4 / math.pi**2 * (math.atan((b[2] - b[0]) / (b[3] - b[1])) - math.atan((a[2] - a[0]) / (a[3] - a[1]))) ** 2
    both = iou(a, b)
    alpha = v / ((1 - both) + v) if v else 0.0
    return both - shift / (wide**2 + high**2) - alpha * v


def encode(box: np.ndarray, anchor: np.ndarray, deviations: tuple[float, ...]) -> list[float]:
    wa, ha = anchor[2] - anchor[0], anchor[3] - anchor[1]
    tx = ((box[0] + box[2]) / 2 - (anchor[0] + anchor[2]) / 2) / wa
    ty = ((box[1] + box[3]) / 2 - (anchor[1] + anchor[3]) / 2) / ha
    tw, th = math.log((box[2] - box[0]) / wa), math.log((box[3] - box[1]) / ha)
    return [t / d for t, d in zip((tx, ty, tw, th), deviations)]


def distribution_focal(logits: np.ndarray, distance: float) -> float:
    low = min(int(distance), len(logits) - 2)
    log_sum = math.log(sum(math.exp(x) for x in logits))
    return -((low + 1 - distance) * (logits[low] - log_sum) + (distance - low) * (logits[low + 1] - log_sum))


def greedy_nms(
    boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, *, threshold: float, least: float, agnostic: bool = False
) -> list[int]:
    """Walk from the surest down; keep a box unless a kept one of its class overlaps it."""
    kept: list[int] = []
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        rivals = [k for k in kept if agnostic or labels[k] == labels[i]]
        if scores[i] > least and all(iou(boxes[i], boxes[k]) <= threshold for k in rivals):
            kept.append(i)
    return kept


def soft_nms(
    boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, *, sigma: float, least: float, most: int
) -> list[tuple[int, float]]:
    """Bodla et al. 2017, figure 2 with the Gaussian rule."""
    left = {i: float(s) for i, s in enumerate(scores)}
    found = []
    while left and len(found) < most:
        best = max(left, key=lambda i: (left[i], -i))
        score = left.pop(best)
        if score > least:
            found.append((best, score))
        for i in left:
            if labels[i] == labels[best]:
                left[i] *= math.exp(-(iou(boxes[best], boxes[i]) ** 2) / sigma)
    return found


def roi_align(
    features: np.ndarray, box: np.ndarray, *, scale: tuple[float, float], size: int, sampling: int, aligned: bool
) -> np.ndarray:
    """(h, w, c) and one xyxy box -> (size, size, c): bilinear readings one by one, averaged."""
    shift = 0.5 if aligned else 0.0
    x1, x2 = box[0] * scale[1] - shift, box[2] * scale[1] - shift
    y1, y2 = box[1] * scale[0] - shift, box[3] * scale[0] - shift
    wide, high = x2 - x1, y2 - y1
    if not aligned:
        wide, high = max(wide, 1.0), max(high, 1.0)
    out = np.zeros((size, size, features.shape[2]))
    for i in range(size):
        for j in range(size):
            for u in range(sampling):
                for v in range(sampling):
                    y = y1 + (i + (u + 0.5) / sampling) * high / size
                    x = x1 + (j + (v + 0.5) / sampling) * wide / size
                    out[i, j] += read(features, y, x) / sampling**2
    return out


def read(features: np.ndarray, y: float, x: float) -> np.ndarray:
    height, width, _ = features.shape
    if y < -1 or y > height or x < -1 or x > width:
        return np.zeros(features.shape[2])
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, across = y - top, x - left
    upper = features[top, left] * (1 - across) + features[top, right] * across
    lower = features[bottom, left] * (1 - across) + features[bottom, right] * across
    return upper * (1 - down) + lower * down


def task_aligned(
    scores: np.ndarray, boxes: np.ndarray, truth: np.ndarray, labels: np.ndarray, *, points: np.ndarray, cell: float,
    best: int, alpha: float, beta: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """One picture: place of each point's object (-1 none) and its target."""
    suits: dict[tuple[int, int], float] = {}
    for m, (box, label) in enumerate(zip(truth, labels)):
        if label < 0:
            continue
        half_w, half_h = max((box[2] - box[0]) / 2, cell / 2), max((box[3] - box[1]) / 2, cell / 2)
        middle_x, middle_y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        mine = {}
        for a, (x, y) in enumerate(points):
            if abs(x - middle_x) < half_w and abs(y - middle_y) < half_h:
                mine[a] = scores[a, label] ** alpha * iou(box, boxes[a]) ** beta
        ranked = sorted(mine.values(), reverse=True)
        least = ranked[best - 1] if len(ranked) >= best else 0.0
        suits |= {(m, a): s for a, s in mine.items() if s >= least and s > 0}
    index, weight = np.full(len(points), -1), np.zeros(len(points))
    for a in range(len(points)):
        rivals = [m for (m, other) in suits if other == a]
        if rivals:
            index[a] = max(rivals, key=lambda m: iou(truth[m], boxes[a]))
    for m in range(len(truth)):
        mine = [a for a in range(len(points)) if index[a] == m]
        if mine:
            most = max(suits[m, a] for a in mine)
            reach = max(iou(truth[m], boxes[a]) for a in mine)
            for a in mine:
                weight[a] = suits[m, a] / most * reach
    return index, weight


def match_by_overlap(
    boxes: np.ndarray, truth: np.ndarray, labels: np.ndarray, *, positive: float, negative: float, each_object: bool
) -> list[int]:
    real = [m for m, label in enumerate(labels) if label >= 0]
    found = []
    for box in boxes:
        overlaps = {m: iou(box, truth[m]) for m in real}
        best = max(overlaps, key=lambda m: (overlaps[m], -m)) if overlaps else -1
        largest = overlaps[best] if overlaps else -1.0
        found.append(best if largest >= positive else (-1 if largest < negative else -2))
    if each_object:
        for m in reversed(real):
            top = max(iou(box, truth[m]) for box in boxes)
            for a, box in enumerate(boxes):
                if top > 1e-7 and iou(box, truth[m]) >= top - 1e-9:
                    found[a] = m
    return found
