"""Pictures with boxes and the chapters on a detector: what is drawn is what the records say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from convscope.data.audit import audit_samples
from convscope.draw.box_marks import Mark, Shown, label_places, label_width, marks_of
from convscope.draw.boxes import boxes_figure, boxes_picture
from convscope.errors import DataError
from convscope.metrics.detect import match_detections, score_detections
from convscope.metrics.detect_errors import analyse_errors
from convscope.records.boxes import Boxes, Found
from convscope.records.report import Report
from convscope.reporting.detecting import box_mistakes_section, detected_section, detection_section, shown_of
from convscope.reporting.render import render_report
from unit.metrics.found_boxes import random_detections

HW = (120, 160)
PICTURE = np.full((*HW, 3), 90, np.uint8)
FOUND = Found(np.array([[20, 30, 60, 80]], np.float32), np.array([1]), np.array([0.8], np.float32), HW)
TRUTH = Boxes(np.array([[100, 10, 150, 60]], np.float32), np.array([0]), HW)


def test_painted_frame_lies_on_the_box_and_nowhere_else() -> None:
    painted = boxes_picture(PICTURE, Shown(found=FOUND), ("cat", "dog"))
    changed = (painted != PICTURE).any(axis=2)
    assert painted.shape == (*HW, 3)
    for place in ((80, 40), (55, 20), (55, 60)):
        assert changed[place[0] - 2 : place[0] + 3, place[1] - 2 : place[1] + 3].any()
    assert not changed[40:75, 30:50].any() and not changed[:, 130:].any()
    assert not (boxes_picture(PICTURE, Shown(found=FOUND, score_threshold=0.9), ("cat", "dog")) != PICTURE).any()
    assert boxes_picture(PICTURE, Shown(found=FOUND), ("cat", "dog"), longest_px=80).shape == (60, 80, 3)


def test_figure_says_found_truth_missed_and_false_alarm_in_words() -> None:
    shown = Shown(FOUND, TRUTH, ("background",), np.array([True]))
    svg = boxes_figure(PICTURE, shown, ("<cat>", "dog"), title="a.png")
    drawing = svg.data.decode()
    assert "× dog 0.80 background" in drawing and "missed &lt;cat&gt;" in drawing and "stroke-dasharray" in drawing
    assert "<cat>" not in drawing and svg.alt == "a.png: found 1 dog; there 1 <cat>; 1 missed."


def test_labels_never_cover_one_another() -> None:
    r = np.random.default_rng(0)
    low = r.uniform(0, 500, (60, 2))
    marks = [Mark((x, y, x + 40, y + 30), "#000000", f"cell {i}", is_strong=i % 7 == 0) for i, (x, y) in enumerate(low)]
    places = label_places(marks, 640, 480)
    boxes = [(p[0], p[1], p[0] + label_width(m), p[1] + 14) for m, p in zip(marks, places) if p is not None]
    assert len(boxes) > 30
    for i, a in enumerate(boxes):
        assert a[0] >= 0 and a[1] >= 0 and a[2] <= 640 and a[3] <= 480
        assert not any(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for b in boxes[i + 1 :])


def test_surest_found_box_is_drawn_last() -> None:
    two = Found(
        np.array([[0, 0, 9, 9], [1, 1, 9, 9]], np.float32), np.array([0, 0]), np.array([0.9, 0.5], np.float32), HW
    )
    assert [m.words for m in marks_of(Shown(found=two), ("cat",))] == ["cat 0.50", "cat 0.90"]


def test_report_of_a_detector() -> None:
    detections = random_detections(1, n=8)
    matches = match_detections(detections)
    errors = analyse_errors(detections, matches)
    pictures = {key: np.full((600, 600, 3), 120, np.uint8) for key in detections.keys}
    scores = score_detections(detections, matches=matches)
    sections = (
        detection_section(scores, matches, errors),
        detected_section(detections, pictures, matches=matches, errors=errors, top=3),
        box_mistakes_section(detections, pictures, matches=matches, errors=errors, top=4),
    )
    page = render_report(Report("detector", sections=sections))
    for words in (
        "mAP at 0.5",
        "Best score threshold",
        "Kinds of mistakes",
        "badly placed",
        "False alarms",
        "Not found",
    ):
        assert words in page, words
    alarms = [float(t.head.split()[-1]) for t in sections[2].blocks[0].tiles]
    assert alarms == sorted(alarms, reverse=True) and len(alarms) == 4
    shown = shown_of(detections, 2, matches=matches, errors=errors)
    assert len(shown.kinds) == len(detections.found[2]) and int(shown.missed.sum()) == int(
        errors.not_found[matches.truth_picture == 2].sum()
    )


def test_pictures_without_truth_and_mistakes_without_truth() -> None:
    detections = replace(random_detections(1, n=3), truth=None)
    pictures = {"p0": np.zeros((600, 600, 3), np.uint8)}
    section = detected_section(detections, pictures)
    assert len(section.blocks[0].tiles) == 1
    full = random_detections(1, n=3)
    matches = match_detections(full)
    with pytest.raises(DataError):
        box_mistakes_section(detections, pictures, matches=matches, errors=analyse_errors(full, matches))


def test_scan_names_faults_of_boxes(tmp_path) -> None:
    import json

    from PIL import Image

    from convscope.data.opening import read_data

    for i in range(3):
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (60, 80, 3), np.uint8)).save(tmp_path / f"{i}.png")
    boxes = [
        (0, 1, [5, 5, 20, 20]),
        (0, 1, [5, 5, 20, 20]),
        (0, 2, [70, 5, 20, 20]),
        (1, 1, [5, 5, 0, 20]),
        (1, 1, [1, 1, 2, 2]),
    ]
    value = {
        "images": [{"id": i, "file_name": f"{i}.png"} for i in range(3)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "Cat"}],
        "annotations": [{"id": n, "image_id": i, "category_id": c, "bbox": b} for n, (i, c, b) in enumerate(boxes)],
    }
    (tmp_path / "x.json").write_text(json.dumps(value))
    audit = audit_samples(read_data(tmp_path), network_hw=(64, 64))
    found = {f.kind: f for f in audit.findings}
    assert audit.classes == {"cat": 3, "Cat": 1} and len(audit.box_sizes) == 4
    assert found["unusable-boxes"].facts == {"x.json annotation 3": "an empty box (0 x 20 px at 5, 5)"}
    assert found["double-boxes"].pictures == (("0.png",),) and found["over-border"].pictures == (("0.png",),)
    assert found["background"].pictures == (("2.png",),) and found["tiny-boxes"].count == 1
    assert {"class-names", "lone-class", "few-boxes", "box-sizes"} <= set(found) and "left-out" not in found
