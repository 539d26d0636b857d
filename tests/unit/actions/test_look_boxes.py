"""Which pictures `look` takes of a detector's data, and whether their true boxes are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from convscope.actions.look_boxes import known_pictures


def marked(folder: Path) -> Path:
    """Three pictures of 20x16, each with one box."""
    (folder / "images").mkdir(parents=True)
    images, marks = [], []
    for i in range(3):
        Image.new("RGB", (20, 16), (60 * i, 0, 0)).save(folder / "images" / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png", "height": 16, "width": 20})
        marks.append({"id": i, "image_id": i, "category_id": 0, "bbox": [2 + i, 3, 8, 5], "iscrowd": 0, "area": 40})
    facts = {"images": images, "annotations": marks, "categories": [{"id": 0, "name": "cell"}]}
    (folder / "annotations.json").write_text(json.dumps(facts))
    return folder


def test_the_marks_of_a_data_set_are_the_truth_of_its_first_pictures(tmp_path: Path) -> None:
    samples, truths = known_pictures(tmp_path / "no-run", [marked(tmp_path / "data")], ("cell",), 2)
    assert [Path(key).name for key in samples.pictures.keys] == ["0.png", "1.png"] and samples.truth is None
    for i, truth in enumerate(truths):
        assert truth is not None and truth.labels.tolist() == [0]
        np.testing.assert_array_equal(truth.xyxy, [[2 + i, 3, 10 + i, 8]])


def test_of_plain_pictures_nothing_is_known(tmp_path: Path) -> None:
    pictures = sorted((marked(tmp_path / "data") / "images").iterdir())
    samples, truths = known_pictures(tmp_path / "no-run", pictures, ("cell",), 12)
    assert len(samples) == 3 and truths == [None, None, None]
