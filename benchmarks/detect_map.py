"""COCO's numbers of 5,000 pictures with 100 found boxes each: ours in NumPy against pycocotools and faster-coco-eval.

    python -m benchmarks.detect_map                 # ours on 5,000 pictures, peers on 500 of them
    python -m benchmarks.detect_map --peers 5000    # peers on all

CPU seconds of matching and accumulating, without reading files; the largest difference of the twelve numbers is given.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import time

import numpy as np

from convscope.data.coco_write import coco_dataset, coco_results
from convscope.metrics.detect import match_detections
from convscope.metrics.detect_curves import accumulate, coco_numbers
from convscope.records.boxes import Boxes, Detections, Found

PICTURES, BOXES, CLASSES = 5000, 100, 10
HW = (640, 640)


def made(pictures: int, seed: int = 0) -> Detections:
    """As many true boxes as found ones; most found ones lie near a true one."""
    r = np.random.default_rng(seed)
    truth, found = [], []
    for _ in range(pictures):
        low = r.uniform(0, 500, (BOXES, 2))
        xyxy = np.concatenate([low, low + np.exp(r.uniform(np.log(8), np.log(140), (BOXES, 2)))], axis=1)
        labels = r.integers(0, CLASSES, BOXES)
        moved = xyxy + r.normal(0, 1, xyxy.shape) * r.choice([1, 4, 20], (BOXES, 1))
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
        scores = r.random(BOXES).astype(np.float32)
        truth.append(Boxes(xyxy.astype(np.float32), labels, HW, r.random(BOXES) < 0.02))
        found.append(Found(moved.astype(np.float32), labels, scores, HW))
    return Detections(tuple(map(str, range(pictures))), tuple(found), tuple("abcdefghij"), tuple(truth))


def ours(detections: Detections) -> tuple[float, np.ndarray]:
    start = time.process_time()
    numbers = coco_numbers(accumulate(match_detections(detections)))
    return time.process_time() - start, np.array(list(numbers.values()))


def peer(name: str, detections: Detections) -> tuple[float, np.ndarray]:
    """CPU seconds of evaluate and accumulate, and the twelve numbers."""
    value, rows = coco_dataset(detections.keys, detections.truth, detections.classes), coco_results(detections)
    with contextlib.redirect_stdout(io.StringIO()):
        if name == "pycocotools":
            truth = importlib.import_module("pycocotools.coco").COCO()
            truth.dataset = {"info": {}, **value}
            truth.createIndex()
            run = importlib.import_module("pycocotools.cocoeval").COCOeval(truth, truth.loadRes(rows), "bbox")
        else:
            package = importlib.import_module("faster_coco_eval")
            truth = package.COCO({"info": {}, **value})
            run = package.COCOeval_faster(truth, truth.loadRes(rows), "bbox")
        start = time.process_time()
        run.evaluate()
        run.accumulate()
        spent = time.process_time() - start
        run.summarize()
    return spent, np.asarray(run.stats)[:12]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", type=int, default=500, help="pictures for the peers")
    asked = parser.parse_args()
    spent, _ = ours(made(PICTURES))
    print(f"convscope: {PICTURES} pictures x {BOXES} boxes, {CLASSES} classes: {spent:.1f} CPU seconds")
    some = made(asked.peers)
    mine, numbers = ours(some)
    print(f"{asked.peers} pictures: convscope {mine:.2f} CPU seconds")
    for name in ("pycocotools", "faster-coco-eval"):
        try:
            theirs, other = peer(name, some)
        except ImportError:
            print(f"{name} is not installed")
            continue
        gap = float(np.abs(numbers - other).max())
        print(f"{name} {theirs:.2f} CPU seconds: {theirs / mine:.1f} times ours; largest difference {gap:.1e}")


if __name__ == "__main__":
    main()
