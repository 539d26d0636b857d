"""Found boxes in files: for people and other programs (CSV, COCO JSON, pictures), and exactly, for the report."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convscope.data.coco_write import coco_categories, coco_images, coco_results
from convscope.draw.box_marks import Shown
from convscope.draw.png import jpeg_bytes
from convscope.errors import PictureError, RunError
from convscope.files.atomic import atomic_file, write_bytes, write_json, write_text
from convscope.records.boxes import Boxes, Detections, Found
from convscope.records.samples import Samples

EXACT, PICTURES = "detections.npz", "pictures.json"
DRAWN = "pictures"


def box_rows(detections: Detections) -> list[dict[str, Any]]:
    """One plain row per box that is shown to people; a picture without any has a row that says so."""
    rows: list[dict[str, Any]] = []
    for key, found in zip(detections.keys, detections.found, strict=True):
        shown = found.above(detections.score_threshold)
        for box, label, score in zip(shown.xyxy.tolist(), shown.labels.tolist(), shown.scores.tolist(), strict=True):
            left, top, right, bottom = (round(v, 1) for v in box)
            rows.append({"picture": key, "says": detections.classes[label], "score": score, "left": left, "top": top,
                         "right": right, "bottom": bottom})  # fmt: skip
        if not len(shown):
            rows.append({"picture": key, "says": "nothing", "score": "", "left": "", "top": "", "right": "",
                         "bottom": ""})  # fmt: skip
    return rows


def write_boxes(folder: Path, detections: Detections) -> tuple[Path, Path]:
    """Write detections.csv (boxes above the threshold) and detections.json (COCO results, all boxes, with images and
    categories)."""
    rows = box_rows(detections)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if rows:
        writer.writerow(rows[0])
        writer.writerows([_harmless(value) for value in row.values()] for row in rows)
    write_text(folder / "detections.csv", text.getvalue())
    facts = {
        "images": coco_images(detections.keys, [f.picture_hw for f in detections.found]),
        "categories": coco_categories(detections.classes),
        "results": coco_results(detections),
        "score_threshold": detections.score_threshold,
    }
    write_json(folder / "detections.json", facts)
    return folder / "detections.csv", folder / "detections.json"


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def draw_pictures(folder: Path, detections: Detections, samples: Samples) -> Path:
    """Write each picture with its boxes as pictures/0001.jpg and on, and which is which as pictures/index.json."""
    from convscope.draw.boxes import boxes_picture

    place = {key: index for index, key in enumerate(samples.pictures.keys)}
    names = {}
    for number, (key, found) in enumerate(zip(detections.keys, detections.found, strict=True), start=1):
        values = samples.pictures.read(place[key], 3).values
        shown = Shown(found, None, score_threshold=detections.score_threshold)
        names[key] = f"{number:04d}.jpg"
        write_bytes(folder / DRAWN / names[key], jpeg_bytes(boxes_picture(values, shown, detections.classes)))
    write_json(folder / DRAWN / "index.json", names)
    return folder / DRAWN


def write_exact(folder: Path, detections: Detections) -> None:
    """Keep detections with their truth in a run folder, exactly, beside the files for people."""
    write_boxes(folder, detections)
    arrays = _packed("found", detections.found)
    arrays["found_scores"] = np.concatenate([f.scores for f in detections.found] or [np.zeros(0, np.float32)])
    if detections.truth is not None:
        arrays |= _packed("truth", detections.truth)
        arrays["truth_crowd"] = np.concatenate([b.is_crowd for b in detections.truth] or [np.zeros(0, bool)])
    arrays["keys"] = np.array(detections.keys, dtype=str)
    arrays["hw"] = np.array([f.picture_hw for f in detections.found], np.int64).reshape(-1, 2)
    arrays["classes"] = np.array(detections.classes, dtype=str)
    arrays["score_threshold"] = np.array(detections.score_threshold)
    with atomic_file(folder / EXACT) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # its stub takes names for options


def _packed(name: str, marks: Sequence[Found | Boxes]) -> dict[str, np.ndarray]:
    """Boxes of all pictures in a row, and how many each has."""
    return {
        f"{name}_count": np.array([len(m) for m in marks], np.int64),
        f"{name}_xyxy": np.concatenate([m.xyxy for m in marks] or [np.zeros((0, 4), np.float32)]),
        f"{name}_labels": np.concatenate([m.labels for m in marks] or [np.zeros(0, np.int64)]),
    }


def read_exact(folder: Path) -> Detections:
    """Read what `write_exact` wrote.

    Raises:
        RunError: the run has none yet.
    """
    path = folder / EXACT
    if not path.is_file():
        raise RunError(f"{folder}: this run has no detections yet; go on with `convscope train --resume {folder}`")
    with np.load(path, allow_pickle=False) as stored:
        facts = {name: stored[name] for name in stored.files}
    sizes = [(int(h), int(w)) for h, w in facts["hw"]]
    found = [
        Found(xyxy, labels, scores, hw)
        for (xyxy, labels, scores), hw in zip(_parts(facts, "found", "scores"), sizes, strict=True)
    ]
    truth = None
    if "truth_count" in facts:
        parts = zip(_parts(facts, "truth", "crowd"), sizes, strict=True)
        truth = tuple(Boxes(xyxy, labels, hw, crowd) for (xyxy, labels, crowd), hw in parts)
    keys, classes = (tuple(str(v) for v in facts[name]) for name in ("keys", "classes"))
    return Detections(keys, tuple(found), classes, truth, float(facts["score_threshold"]))


def _parts(facts: dict[str, np.ndarray], name: str, third: str) -> list[tuple[np.ndarray, ...]]:
    cuts = np.cumsum(facts[f"{name}_count"])[:-1]
    columns = [np.split(facts[f"{name}_{column}"], cuts) for column in ("xyxy", "labels", third)]
    return list(zip(*columns, strict=True))


def keep_pictures(folder: Path, samples: Samples, keys: Sequence[str]) -> None:
    """Keep whole pictures for the report: the data may move or be gone when it is written."""
    place = {key: index for index, key in enumerate(samples.pictures.keys)}
    names = {}
    for number, key in enumerate(keys, start=1):
        try:
            values = samples.pictures.read(place[key], 3).values
        except PictureError:
            continue
        names[key] = f"kept/{number:03d}.jpg"
        write_bytes(folder / names[key], jpeg_bytes(values.clip(0, 255).astype(np.uint8), quality=92))
    write_json(folder / PICTURES, names)


def kept_pictures(folder: Path) -> Mapping[str, np.ndarray]:
    """Read what `keep_pictures` kept: key -> (h, w, 3) uint8."""
    from PIL import Image

    path = folder / PICTURES
    if not path.is_file():
        return {}
    names: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    found = {}
    for key, name in names.items():
        with Image.open(folder / name) as picture:
            found[key] = np.asarray(picture.convert("RGB"))
    return found
