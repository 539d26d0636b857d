"""Small data sets with boxes, written in each format: coloured rectangles on noise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from convscope.data.box_text import voc_xml, yolo_lines
from convscope.data.coco_write import coco_dataset
from convscope.records.boxes import Boxes

CLASSES = ("cat", "dog")


def picture(path: Path, hw: tuple[int, int] = (60, 80), *, orientation: int = 1, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 255, (*hw, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(values).save(path, exif=exif)
    return path


def truths(n: int = 5, hw: tuple[int, int] = (60, 80), *, whole: bool = True) -> list[Boxes]:
    """Random boxes; the second picture is background, the first has a crowd."""
    r = np.random.default_rng(3)
    found = []
    for i in range(n):
        k = 0 if i == 1 else int(r.integers(1, 5))
        low = r.uniform(0, 40, (k, 2))
        xyxy = np.concatenate([low, low + r.uniform(3, 20, (k, 2))], axis=1)
        xyxy = np.round(xyxy) if whole else xyxy
        found.append(Boxes(xyxy.astype(np.float32), r.integers(0, 2, k), hw))
    return found


def coco_folder(root: Path, boxes: list[Boxes]) -> Path:
    keys = [f"p{i}.png" for i in range(len(boxes))]
    for i, key in enumerate(keys):
        picture(root / "images" / key, boxes[i].picture_hw, seed=i)
    (root / "annotations").mkdir(parents=True)
    (root / "annotations" / "instances.json").write_text(json.dumps(coco_dataset(keys, boxes, CLASSES)))
    return root


def voc_folder(root: Path, boxes: list[Boxes]) -> Path:
    (root / "Annotations").mkdir(parents=True)
    for i, b in enumerate(boxes):
        picture(root / "JPEGImages" / f"p{i}.jpg", b.picture_hw, seed=i)
        (root / "Annotations" / f"p{i}.xml").write_text(voc_xml(f"p{i}.jpg", b, CLASSES))
    return root


def yolo_folder(root: Path, boxes: list[Boxes]) -> Path:
    (root / "labels").mkdir(parents=True)
    for i, b in enumerate(boxes):
        picture(root / "images" / f"p{i}.png", b.picture_hw, seed=i)
        if len(b):
            (root / "labels" / f"p{i}.txt").write_text(yolo_lines(b))
    (root / "data.yaml").write_text("names: [cat, dog]\n")
    return root
