"""Random truth and findings of a detector: crowds, empty pictures, equal scores, more than 100 boxes."""

from __future__ import annotations

import numpy as np

from convscope.records.boxes import Boxes, Detections, Found


def _near(
    r: np.random.Generator, xyxy: np.ndarray, labels: np.ndarray, d: int, k: int
) -> tuple[np.ndarray, np.ndarray]:
    if not len(labels):
        low = r.uniform(0, 400, (d, 2))
        return np.concatenate([low, low + r.uniform(5, 100, (d, 2))], axis=1), r.integers(0, k, d)
    which = r.integers(0, len(labels), d)
    moved = xyxy[which] + r.normal(0, 1, (d, 4)) * r.choice([0, 2, 8, 20], (d, 1))
    return moved, np.where(r.random(d) < 0.85, labels[which], r.integers(0, k, d))


def random_detections(
    seed: int, *, n: int = 25, k: int = 3, most_true: int = 30, most_found: int = 60, crowds: bool = True
) -> Detections:
    """Even seeds have whole pixels and scores of one digit, so that overlaps and scores are often equal."""
    r = np.random.default_rng(seed)
    truth, found = [], []
    for _ in range(n):
        g = 0 if r.random() < 0.1 else int(r.integers(0, most_true))
        low = r.uniform(0, 400, (g, 2))
        xyxy = np.concatenate([low, low + np.exp(r.uniform(np.log(5), np.log(200), (g, 2)))], axis=1)
        xyxy = np.round(xyxy) if seed % 2 == 0 else xyxy
        labels = r.integers(0, k, g)
        d = 0 if r.random() < 0.1 else int(r.integers(0, most_found))
        boxes, names = _near(r, xyxy, labels, d, k)
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        scores = np.round(r.random(d), 1 if seed % 2 == 0 else 6)
        crowd = r.random(g) < 0.1 if crowds else None
        truth.append(Boxes(xyxy.astype(np.float32), labels, (600, 600), crowd))
        found.append(Found(boxes.astype(np.float32), names, scores.astype(np.float32), (600, 600)))
    keys = tuple(f"p{i}" for i in range(n))
    return Detections(keys, tuple(found), tuple("abcdefgh"[:k]), tuple(truth))
