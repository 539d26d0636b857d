"""COCO JSON as plain values: marked boxes as a data set, found boxes as a results file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convscope.records.boxes import Boxes, Detections


def coco_results(detections: Detections, *, image_ids: Sequence[int] = ()) -> list[dict[str, Any]]:
    """The list that COCO's evaluation takes: image_id, category_id (from 1), bbox as left, top, width, height, score.

    Args:
        detections: all boxes are written, whatever their score.
        image_ids: of each picture; 1, 2, ... in the given order by default (`coco_images` lists them).
    """
    ids = image_ids or range(1, len(detections.keys) + 1)
    return [
        {"image_id": number, "category_id": int(label) + 1, "bbox": _xywh(box), "score": _plain(score)}
        for number, found in zip(ids, detections.found)
        for box, label, score in zip(found.xyxy, found.labels, found.scores)
    ]


def coco_images(keys: Sequence[str], sizes_hw: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
    """COCO's list of images: id from 1, file_name, height, width in pixels."""
    return [
        {"id": number, "file_name": key, "height": int(high), "width": int(wide)}
        for number, (key, (high, wide)) in enumerate(zip(keys, sizes_hw), start=1)
    ]


def coco_categories(classes: Sequence[str]) -> list[dict[str, Any]]:
    """COCO's list of categories: id from 1 and name, in index order."""
    return [{"id": number, "name": name} for number, name in enumerate(classes, start=1)]


def coco_dataset(keys: Sequence[str], truth: Sequence[Boxes], classes: Sequence[str]) -> dict[str, Any]:
    """Marked boxes as a whole COCO data set; `read_coco` reads it back box for box."""
    annotations: list[dict[str, Any]] = []
    for number, boxes in enumerate(truth, start=1):
        for i in range(len(boxes)):
            bbox = _xywh(boxes.xyxy[i])
            area = bbox[2] * bbox[3] if boxes.areas is None else float(boxes.areas[i])
            outline = [] if boxes.polygons is None else [o.reshape(-1).tolist() for o in boxes.polygons[i]]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": int(boxes.labels[i]) + 1,
                    "bbox": bbox,
                    "area": area,
                    "iscrowd": int(boxes.is_crowd[i]),
                    "segmentation": outline,
                }
            )
    return {
        "images": coco_images(keys, [b.picture_hw for b in truth]),
        "annotations": annotations,
        "categories": coco_categories(classes),
    }


def _xywh(xyxy: np.ndarray) -> list[float]:
    left, top, right, bottom = np.asarray(xyxy, np.float64).tolist()
    return [left, top, right - left, bottom - top]


def _plain(score: Any) -> float:
    return float(np.float64(score))
