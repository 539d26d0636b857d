"""Detectors of the catalogue: names, sizes, taps, raw outputs, decoding, saving, and what reaches which weight."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convscope.backend.selection import backend_name, load_keras
from convscope.backend.tensors import to_numpy
from convscope.errors import ModelError, PlanError, UnknownNameError
from convscope.models.catalogue import MODELS
from convscope.models.detector import Detector, DetectorOptions
from convscope.models.detector_outputs import decode_outputs
from convscope.models.detectors import DETECTORS, build_detector, find_detector
from convscope.models.network import build_network, freeze_backbone
from convscope.models.taps import find_taps
from unit.models.drawn_boxes import SIDE, drawn

keras = load_keras()
ops = keras.ops

SMALL = DetectorOptions(pyramid_channels=16, head_units=32, proposals=40)
PUBLISHED = {"yolo-n": 3.2e6, "yolo-s": 11.2e6, "yolo-m": 25.9e6}  # of YOLOv8 with COCO's 80 classes


def small(kind: str, classes: int = 2) -> Detector:
    return build_detector(f"{kind}+simple-cnn", classes, frame_hw=(SIDE, SIDE), options=SMALL)


@pytest.mark.parametrize("name", ["yolo-n", pytest.param("yolo-s"), pytest.param("yolo-m", marks=pytest.mark.slow)])
def test_sizes_are_near_the_published_ones(name: str) -> None:
    detector = build_detector(name, 80, frame_hw=(64, 64))
    assert abs(detector.parameters / PUBLISHED[name] - 1) < 0.3
    assert [detector.model.get_layer(tap).output.shape[1] for tap in detector.taps] == [8, 4, 2]
    assert detector.stages[0][0] == "stem_conv" and len(detector.stages) == 5


def test_names_are_found_with_another_backbone_and_the_nearest_is_said() -> None:
    assert find_detector("faster-rcnn+ResNet50")[1] == "resnet50"
    assert find_detector("yolo_n")[1] == "csp-n" and set(DETECTORS) >= {"yolo-n", "yolo-s", "yolo-m", "faster-rcnn"}
    with pytest.raises(UnknownNameError, match="did you mean yolo"):
        find_detector("yolo-x9")
    with pytest.raises(UnknownNameError, match="resnet50"):
        find_detector("yolo+resnet5")


@pytest.mark.parametrize(("change", "match"), [
    ({"frame_hw": (100, 64)}, "multiples of 32"), ({"classes": 0}, "1 class"), ({"channels": 2}, "grey"),
    ({"options": DetectorOptions(pyramid_channels=3)}, "pyramid_channels"),
    ({"options": DetectorOptions(anchor_ratios=())}, "anchors"), ({"weights": "file.h5"}, "csp-n"),
])  # fmt: skip
def test_settings_that_cannot_work_are_one_line(change: dict[str, Any], match: str) -> None:
    settings = {"classes": 2, "frame_hw": (64, 64), **change}
    with pytest.raises(PlanError, match=match):
        build_detector("yolo-n", settings.pop("classes"), **settings)


QUICK_BACKBONES = ("efficientnet-lite0", "mobilenet", "vgg16")
LARGE = {"nasnet-large", "vgg19", "efficientnet-b7", "efficientnet-v2l", "convnext-large", "convnext-xlarge"}


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[] if name in QUICK_BACKBONES else [pytest.mark.slow]) for name in MODELS.names()
])  # fmt: skip
def test_every_backbone_gives_three_maps(name: str) -> None:
    side = 128
    model = build_network(name, outputs=1, output_activation="linear", input_hw=(side, side), weights="none").model
    taps = find_taps(model, (side, side), name)
    wanted = {8} if name == "simple-cnn" else {8, 16, 32}
    assert set(taps) == wanted
    for stride, layer in taps.items():
        height, _, channels = model.get_layer(layer).output.shape[1:]
        assert abs(height - side / stride) <= 0.3 * side / stride + 1 and channels >= 24
    order = [layer.name for layer in model.layers]
    assert [order.index(taps[s]) for s in sorted(taps)] == sorted(order.index(t) for t in taps.values())


def test_a_backbone_that_stays_fine_is_refused() -> None:
    pixels = keras.Input((64, 64, 3))
    model = keras.Model(pixels, keras.layers.Conv2D(4, 3, strides=2, padding="same")(pixels))
    with pytest.raises(ModelError, match="stride 8, shallow has none"):
        find_taps(model, (64, 64), "shallow")


@pytest.mark.backend
@pytest.mark.parametrize("kind", ["yolo", "faster-rcnn"])
def test_raw_outputs_decoding_and_saving(kind: str, tmp_path: Path) -> None:
    detector = small(kind)
    pictures, _ = drawn(2)
    raw = detector.model.predict_on_batch(pictures)
    points = 16 * 16 + 8 * 8 + 4 * 4
    assert raw["boxes"].shape == ((2, points, 4) if kind == "yolo" else (2, 40, 2, 4))
    assert raw["scores"].shape == (2, points if kind == "yolo" else 40, 2)
    assert 0 <= raw["scores"].min() <= raw["scores"].max() <= 1
    found = decode_outputs(raw, (SIDE, SIDE), score_threshold=0.0, max_detections=5, mode="agnostic")
    assert [len(f.labels) for f in found] == [5, 5] or kind == "yolo"
    for f in found:
        assert (np.diff(f.scores) <= 0).all() and f.xyxy.min() >= 0 and f.xyxy.max() <= SIDE
    detector.model.save(tmp_path / "detector.keras")
    again = keras.saving.load_model(tmp_path / "detector.keras")
    for key, value in again.predict_on_batch(pictures).items():
        assert np.array_equal(value, raw[key])
    assert detector.model.get_layer(detector.feature_layer) is not None
    freeze_backbone(detector)
    learning = {v.path for v in detector.training_model.trainable_variables}
    assert learning and not any(path.startswith("block") for path in learning)


@pytest.mark.slow
@pytest.mark.backend
def test_plain_keras_opens_saved_detectors_after_one_import(tmp_path: Path) -> None:
    """In a process that never saw them built: `import convscope.layers` is all, and without it Keras refuses."""
    pictures, _ = drawn(1)
    np.save(tmp_path / "pictures.npy", pictures)
    for kind in ("yolo", "faster-rcnn"):
        model = small(kind).model
        model.save(tmp_path / f"{kind}.keras")
        np.save(tmp_path / f"{kind}.npy", np.asarray(model.predict_on_batch(pictures)["scores"]))
    script = """
import sys, keras, numpy as np
folder = sys.argv[1]
try:
    keras.saving.load_model(folder + "/yolo.keras")
except TypeError as error:
    assert "PointBoxes" in str(error)
else:
    sys.exit("expected plain Keras not to know PointBoxes")
import convscope.layers
assert not any(name.startswith("convscope.models") for name in sys.modules)
for kind in ("yolo", "faster-rcnn"):
    found = keras.saving.load_model(f"{folder}/{kind}.keras").predict_on_batch(np.load(folder + "/pictures.npy"))
    # another process: a kernel may be chosen anew, so equal but for rounding
    np.testing.assert_allclose(np.asarray(found["scores"]), np.load(f"{folder}/{kind}.npy"), atol=1e-5)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_decoding_finds_what_was_put_in() -> None:
    """Two classes share a place: class-wise keeps both, agnostic the surer one."""
    boxes = np.array([[[10, 10, 30, 30], [11, 11, 31, 31], [50, 50, 90, 70], [60, 5, 60, 9]]], np.float32)
    scores = np.array([[[0.9, 0.3], [0.2, 0.8], [0.0, 0.7], [0.95, 0.0]]], np.float32)
    outputs = {"boxes": boxes, "scores": scores}
    both = decode_outputs(outputs, (64, 80), score_threshold=0.25)[0]
    assert both.labels.tolist() == [0, 1, 1] and np.allclose(both.scores, [0.9, 0.8, 0.7])
    assert both.xyxy[2].tolist() == [50, 50, 80, 64]
    one = decode_outputs(outputs, (64, 80), score_threshold=0.25, mode="agnostic")[0]
    assert one.labels.tolist() == [0, 1] and one.xyxy[1].tolist() == [50, 50, 80, 64]
    soft = decode_outputs(outputs, (64, 80), score_threshold=0.25, mode="soft")[0]
    assert soft.labels.tolist() == [0, 1, 1]
    with pytest.raises(PlanError, match="max_detections"):
        decode_outputs(outputs, (64, 80), max_detections=0)


@pytest.mark.backend
@pytest.mark.parametrize(
    "part", ["rpn_box", *(pytest.param(p, marks=pytest.mark.slow) for p in ("rpn_class", "roi_class", "roi_box"))]
)
def test_the_gradient_of_each_loss_reaches_the_first_layer_that_learns(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = small("faster-rcnn")
    model, first = detector.training_model, detector.model.get_layer(detector.stages[0][0])
    for layer in detector.model.layers:  # at the start the last layers are near zero: nothing would get through
        if layer.name in ("box_deltas", "box_logits", "rpn_logits", "rpn_deltas"):
            layer.set_weights([np.random.default_rng(1).normal(0, 0.05, w.shape) for w in layer.get_weights()])
    every = type(model).parts

    def only(self: Any, *given: Any) -> dict[str, Any]:
        return {key: value * float(key == part) for key, value in every(self, *given).items()}

    monkeypatch.setattr(type(model), "parts", only)
    model.compile(keras.optimizers.SGD(1.0), run_eagerly=backend_name() != "tensorflow", jit_compile=False)
    before = first.get_weights()[0]
    value = model.train_on_batch(*drawn(1))
    assert np.isfinite(value).all() and np.abs(first.get_weights()[0] - before).max() > 1e-9


@pytest.mark.backend
@pytest.mark.parametrize("kind", ["yolo", "faster-rcnn"])
def test_a_picture_without_boxes_teaches_background_and_stays_finite(kind: str) -> None:
    model = small(kind).training_model
    pictures, truth = drawn(1)
    truth = {"boxes": truth["boxes"] * 0, "labels": truth["labels"] * 0 - 1}
    y_pred = model(ops.convert_to_tensor(pictures), training=False)
    parts = model.parts({k: ops.convert_to_tensor(v) for k, v in truth.items()}, y_pred, False)
    values = {k: float(to_numpy(v)) for k, v in parts.items()}
    assert all(np.isfinite(v) for v in values.values())
    assert all(v == 0 for k, v in values.items() if "class" not in k)
