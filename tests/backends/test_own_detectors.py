"""A detector that was made elsewhere: predicted, looked at and explained like one of our own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L
from keras import ops
from PIL import Image

import convscope
from convscope.actions.look import look
from convscope.actions.say import predict_files
from convscope.errors import ModelError, PlanError, UnknownLayerError

pytestmark = pytest.mark.backend

SIDE, CELL = 64, 8
CLASSES = ("red", "blue")


def brightness_detector() -> keras.Model:
    """Says a box of 8 x 8 pixels wherever a cell is red (class 0) or blue (class 1); by hand, nothing is learned.

    Outputs as others have them: a list, boxes as shares of the frame in the order y, x, y, x, and logits.
    """
    pixels = L.Input((SIDE, SIDE, 3))
    cells = L.AveragePooling2D(CELL, name="cells")(pixels)  # values 0..1
    says = L.Conv2D(2, 1, name="says")(cells)
    logits = L.Reshape((-1, 2), name="logits")(says)
    corners = L.Reshape((-1, 4), name="corners")(L.Conv2D(4, 1, kernel_initializer="zeros", name="moves")(cells))
    start = np.arange(SIDE // CELL, dtype=np.float32) * CELL / SIDE
    y, x = (a.ravel() for a in np.meshgrid(start, start, indexing="ij"))
    grid = np.stack([y, x, y + CELL / SIDE, x + CELL / SIDE], axis=-1)[None]
    model = keras.Model(pixels, [corners + grid, logits], name="bright")
    kernel = np.array([[12, -12], [-12, -12], [-12, 12]], np.float32).reshape(1, 1, 3, 2)
    model.get_layer("says").set_weights([kernel, np.array([-6, -6], np.float32)])
    return model


def read(outputs: Any) -> tuple[Any, Any]:
    corners, logits = outputs
    return ops.take(corners, [1, 0, 3, 2], axis=-1) * SIDE, ops.sigmoid(logits)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Twice the detector's frame: a red cell and a blue one on black."""
    values = np.zeros((2 * SIDE, 2 * SIDE, 3), np.uint8)
    values[32:48, 16:32] = (255, 0, 0)
    values[80:96, 96:112] = (0, 0, 255)
    Image.fromarray(values).save(tmp_path / "cells.png")
    return tmp_path / "cells.png"


def test_it_is_predicted_looked_at_and_explained(picture: Path, tmp_path: Path) -> None:
    detector = convscope.as_detector(brightness_detector(), CLASSES, boxes=read, layers=("cells",))
    said = predict_files(detector, [picture])
    boxes, labels = said.found[0].above(0.5).xyxy, said.found[0].above(0.5).labels
    order = np.argsort(labels)
    np.testing.assert_allclose(boxes[order], [[16, 32, 32, 48], [96, 80, 112, 96]], atol=1e-3)
    for method, options in (("layer-cam", {}), ("rise", {"samples": 200, "cells": 8})):
        found = convscope.explain(detector, [picture], method=method, options=options)
        assert [label.rpartition(": ")[2].split()[0] for label in found.labels] == [CLASSES[k] for k in labels]
        for heat, box in zip(found.heat, boxes):
            share = heat.shape[0] / (2 * SIDE)
            left, top, right, bottom = (int(v * share) for v in box)
            own = heat[top:bottom, left:right]
            if method == "rise":  # masks are smooth and few: the warmest place is what they can tell
                assert own.max() == heat.max() and own.mean() > 2 * heat.mean()
            else:
                assert own.sum() > 0.9 * np.abs(heat).sum(), "its own cell, no other"
    page = look(detector, [picture], out=tmp_path / "look.html").page.read_text(encoding="utf-8")
    assert "What suppression left and removed" in page and "cells.png" in page and "Assigned targets" not in page
    bare = convscope.as_detector(brightness_detector(), CLASSES, boxes=read)
    with pytest.raises(ModelError, match="name the ones that its heads read"):
        convscope.explain(bare, [picture], method="grad-cam")
    with pytest.raises(PlanError, match="no signed for the boxes"):
        convscope.explain(detector, [picture], method="layer-cam", signed=True)
    assert look(bare, [picture], out=tmp_path / "bare.html").maps == ()


@pytest.mark.parametrize(("options", "words"), [
    ({}, r"pass boxes=f, a function of its outputs"),
    ({"boxes": lambda outputs: outputs[0]}, r"expected boxes= to return \(boxes, scores\)"),
    ({"boxes": lambda outputs: outputs["corners"]}, r"write it with keras\.ops"),
    ({"boxes": read, "classes": ("a", "b", "c")}, r"one for each of 3 classes, bright gives"),
    ({"boxes": lambda outputs: (outputs[1], outputs[1])}, r"expected boxes \(n, k, 4\)"),
])  # fmt: skip
def test_what_it_does_not_say_is_asked_for_in_one_line(options: dict[str, Any], words: str) -> None:
    model, classes = brightness_detector(), options.pop("classes", CLASSES)
    with pytest.raises(ModelError, match=words) as caught:
        convscope.as_detector(model, classes, **options)
    assert "\n" not in str(caught.value)


def test_a_wrong_layer_size_or_thing_is_said() -> None:
    with pytest.raises(UnknownLayerError, match="did you mean cells"):
        convscope.as_detector(brightness_detector(), CLASSES, boxes=read, layers=("cell",))
    pixels = L.Input((None, None, 3))
    anywhere = keras.Model(pixels, L.Conv2D(2, 1)(pixels), name="anywhere")
    with pytest.raises(ModelError, match="preprocess= with height and width, anywhere takes any size"):
        convscope.as_detector(anywhere, CLASSES, boxes=read)
    with pytest.raises(ModelError, match=r"a keras\.Model, got str"):
        convscope.as_detector("model.keras", CLASSES)
