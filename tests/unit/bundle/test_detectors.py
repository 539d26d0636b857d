"""A detector's own layers pass the check of architectures; a stranger under their name does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convscope.backend.selection import load_keras
from convscope.bundle.architecture import check_architecture
from convscope.bundle.building import build, expected_shapes
from convscope.errors import BundleError
from convscope.models.detector import DetectorOptions
from convscope.models.detectors import build_detector

keras = load_keras()
pytestmark = pytest.mark.backend

SMALL = DetectorOptions(pyramid_channels=8, head_units=16, proposals=20)


@pytest.mark.parametrize("kind", ["yolo", "faster-rcnn"])
def test_a_detector_is_rebuilt_from_its_checked_architecture(kind: str) -> None:
    model = build_detector(f"{kind}+simple-cnn", 2, frame_hw=(64, 64), options=SMALL).model
    written = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    checked = check_architecture(written, "detector")
    assert sum(int(np.prod(s)) for s in expected_shapes(checked, "detector").values()) == model.count_params()
    again = build(checked, "detector")
    again.set_weights(model.get_weights())
    pictures = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
    before, after = model.predict_on_batch(pictures), again.predict_on_batch(pictures)
    assert set(before) == set(after) and all(np.array_equal(before[k], after[k]) for k in before)


@pytest.mark.parametrize("change", [
    {"registered_name": "somebody>RoiAlign"}, {"module": "convscope.layers.augment"}, {"class_name": "Level"},
])  # fmt: skip
def test_only_the_listed_layers_under_their_own_names(change: dict[str, Any], tmp_path: Path) -> None:
    from convscope.layers.roi_align import RoiAlign

    boxes, features = keras.Input((3, 4)), keras.Input((8, 8, 2))
    model = keras.Model([boxes, features], RoiAlign((64, 64), name="align")([boxes, features]))
    written = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    check_architecture(written, "good")
    next(layer for layer in written["config"]["layers"] if layer["class_name"] == "RoiAlign").update(change)
    with pytest.raises(BundleError, match="align"):
        check_architecture(written, "bad")
