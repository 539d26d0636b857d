"""Boxes as text: YOLO label lines, Pascal VOC XML, and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from xml.sax.saxutils import escape

import numpy as np

from convscope.arrays.boxes import cxcywh_from_xyxy
from convscope.records.boxes import Boxes, Detections, Found

CSV_HEADINGS = ("path", "x_min", "y_min", "x_max", "y_max", "label", "score")


def yolo_lines(boxes: Boxes | Found) -> str:
    """One line for each box: class index, centre x, centre y, width, height in shares of the picture, found: score.

    Nine digits behind the point: a box of a picture of 10,000 pixels comes back within a hundred-thousandth of one.
    """
    high, wide = boxes.picture_hw
    shares = cxcywh_from_xyxy(np.asarray(boxes.xyxy, np.float64)) / np.array([wide, high, wide, high])
    lines = []
    for i, (label, row) in enumerate(zip(boxes.labels.tolist(), shares.tolist())):
        score = f" {float(boxes.scores[i]):.6g}" if isinstance(boxes, Found) else ""
        lines.append(f"{label} " + " ".join(f"{v:.9f}" for v in row) + score + "\n")
    return "".join(lines)


def yolo_data_yaml(classes: Sequence[str], *, parts: Sequence[tuple[str, str]] = ()) -> str:
    """A data.yaml: names by number, and (part, folder) pairs such as ("train", "images/train")."""
    rows = [f"{part}: {_quoted(folder)}" for part, folder in parts]
    return "\n".join([*rows, "names:", *(f"  {i}: {_quoted(name)}" for i, name in enumerate(classes))]) + "\n"


def _quoted(words: str) -> str:
    """A YAML string in double quotes; what can't be printed becomes its number."""
    inside = "".join("\\" + c if c in '"\\' else c if c.isprintable() else f"\\U{ord(c):08x}" for c in words)
    return f'"{inside}"'


def voc_xml(key: str, boxes: Boxes, classes: Sequence[str]) -> str:
    """A Pascal VOC annotation; corners count from 1, as `voc.read_voc` takes them."""
    high, wide = boxes.picture_hw
    objects = "".join(
        f"<object><name>{escape(classes[label])}</name><difficult>{int(is_crowd)}</difficult><bndbox>"
        f"<xmin>{left + 1:g}</xmin><ymin>{top + 1:g}</ymin><xmax>{right:g}</xmax><ymax>{bottom:g}</ymax>"
        "</bndbox></object>\n"
        for (left, top, right, bottom), label, is_crowd in zip(
            np.asarray(boxes.xyxy, np.float64).round(3).tolist(), boxes.labels.tolist(), boxes.is_crowd.tolist()
        )
    )
    return (
        f"<annotation><filename>{escape(key.rsplit('/', 1)[-1])}</filename>\n"
        f"<size><width>{wide}</width><height>{high}</height><depth>3</depth></size>\n{objects}</annotation>\n"
    )


def detections_csv(detections: Detections) -> str:
    """Found boxes as a table, one row each, pixels of the whole picture; cells that a spreadsheet would run are quoted.

    Pictures in which nothing was found have one row with empty corners, so that none is lost.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_HEADINGS)
    for key, found in zip(detections.keys, detections.found):
        if not len(found):
            writer.writerow([_harmless(key), "", "", "", "", "", ""])
        for box, label, score in zip(found.xyxy.tolist(), found.labels.tolist(), found.scores.tolist()):
            corners = [f"{v:.2f}" for v in box]
            writer.writerow([_harmless(key), *corners, _harmless(detections.classes[label]), f"{score:.4f}"])
    return buffer.getvalue()


def _harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return "'" + cell if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
