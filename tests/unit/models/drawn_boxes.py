"""Four drawn pictures with rectangles and discs, and their truth: small enough to be learnt by heart."""

from __future__ import annotations

from typing import Any

import numpy as np

from convscope.metrics.detect import score_detections
from convscope.models.detector_outputs import decode_outputs
from convscope.records.boxes import Boxes, Detections, Found

SIDE, MOST = 128, 6
CLASSES = ("rectangle", "disc")


def drawn(count: int = 4, seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(n, 128, 128, 3) float32 pictures 0..255 and padded truth; three objects in each, one in each third."""
    rng = np.random.default_rng(seed)
    pictures = rng.uniform(90, 110, (count, SIDE, SIDE, 3)).astype(np.float32)
    boxes, labels = np.zeros((count, MOST, 4), np.float32), np.full((count, MOST), -1, np.int32)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    for n in range(count):
        for k in range(3):
            label = int((n + k) % 2)
            wide, high = rng.integers(26, 40), rng.integers(26, 60)
            high = wide if label else high
            left, top = k * 42 + rng.integers(0, 42 - wide), rng.integers(2, SIDE - 2 - high)
            inside = (x > left) & (x < left + wide) & (y > top) & (y < top + high)
            if label:
                inside = (x - left - wide / 2) ** 2 + (y - top - high / 2) ** 2 < (wide / 2) ** 2
            pictures[n][inside] = (230, 60, 40) if label else (40, 80, 220)
            boxes[n, k], labels[n, k] = (left, top, left + wide, top + high), label
    return pictures, {"boxes": boxes, "labels": labels}


def map_50(detector: Any, pictures: np.ndarray, truth: dict[str, np.ndarray]) -> float:
    """COCO's mAP@.5 of what the detector finds."""
    found = decode_outputs(detector.model.predict_on_batch(pictures), (SIDE, SIDE))
    hw, real = (SIDE, SIDE), truth["labels"] >= 0
    record = Detections(
        keys=tuple(str(k) for k in range(len(pictures))),
        found=tuple(Found(f.xyxy, f.labels, f.scores, hw) for f in found),
        classes=CLASSES,
        truth=tuple(
            Boxes(b[r], lab[r].astype(np.int64), hw) for b, lab, r in zip(truth["boxes"], truth["labels"], real)
        ),
    )
    return score_detections(record).values["map_50"].value
