"""Detectors learn: four pictures by heart, proposals that find every object, one compilation for all pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convscope.backend.selection import backend_name, load_keras
from convscope.backend.tensors import to_numpy
from convscope.layers.boxes import pairwise_iou
from convscope.models.detector import Detector, DetectorOptions
from convscope.models.detectors import build_detector
from unit.models.drawn_boxes import SIDE, drawn, map_50

keras = load_keras()
ops = keras.ops
pytestmark = pytest.mark.backend

OPTIONS = DetectorOptions(pyramid_channels=32, head_units=64, proposals=100)


def compiled(kind: str) -> Detector:
    detector = build_detector(f"{kind}+simple-cnn", 2, frame_hw=(SIDE, SIDE), options=OPTIONS)
    optimizer = keras.optimizers.Adam(3e-3 if kind == "yolo" else 2e-3, clipnorm=10.0)
    detector.training_model.compile(optimizer, jit_compile=backend_name() == "jax")
    return detector


def trained(kind: str, steps: int) -> tuple[Detector, list[dict[str, float]]]:
    detector, (pictures, truth) = compiled(kind), drawn()
    logs = [detector.training_model.train_on_batch(pictures, truth, return_dict=True) for _ in range(steps)]
    return detector, [{key: float(value) for key, value in log.items()} for log in logs]


@pytest.mark.parametrize("kind", ["faster-rcnn", pytest.param("yolo", marks=pytest.mark.slow)])
def test_a_few_steps_lower_the_loss_and_every_part_is_logged(kind: str) -> None:
    """The logged values are means over the steps so far, so the last step's is lower still."""
    _, logs = trained(kind, 8)
    parts = {"yolo": {"box_loss", "class_loss", "distance_loss"},
             "faster-rcnn": {"rpn_class_loss", "rpn_box_loss", "roi_class_loss", "roi_box_loss"}}[kind]  # fmt: skip
    assert set(logs[0]) == {"loss", *parts}
    assert logs[0]["loss"] == pytest.approx(sum(logs[0][p] for p in parts), rel=1e-3)
    assert logs[-1]["loss"] < 0.9 * logs[0]["loss"]


@pytest.mark.slow
def test_yolo_learns_four_pictures_by_heart() -> None:
    detector, _ = trained("yolo", 150)
    assert map_50(detector, *drawn()) == 1.0


@pytest.mark.slow
def test_faster_rcnn_learns_four_pictures_by_heart_and_its_proposals_find_all() -> None:
    detector, _ = trained("faster-rcnn", 60)
    pictures, truth = drawn()
    assert map_50(detector, pictures, truth) == 1.0
    raw = detector.model.predict_on_batch(pictures)
    assert raw["proposals"].shape == (4, 100, 4)
    iou = to_numpy(pairwise_iou(*(ops.convert_to_tensor(x) for x in (truth["boxes"], raw["proposals"]))))
    reached = iou.max(axis=-1)[truth["labels"] >= 0] >= 0.5
    assert reached.mean() >= 0.9


class Compilations:
    """Counts how often JAX's compiler or TensorFlow's tracer ran."""

    def __init__(self, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        if backend_name() == "jax":
            import jax

            jax.monitoring.register_event_duration_secs_listener(self._jax)
        else:
            every = type(model).parts

            def counted(*given: Any) -> Any:
                self.count += 1
                return every(*given)

            monkeypatch.setattr(type(model), "parts", counted)

    def _jax(self, event: str, *_: Any, **__: Any) -> None:
        self.count += event.endswith("backend_compile_duration")


@pytest.mark.slow
def test_faster_rcnn_compiles_once_for_fifty_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """From none to six objects in a picture: after the first step nothing is compiled again."""
    model = compiled("faster-rcnn").training_model
    pictures, truth = drawn(50, seed=5)
    for n in range(50):
        truth["labels"][n, n % 4 :] = -1
    model.fit(pictures[:2], {k: v[:2] for k, v in truth.items()}, batch_size=2, verbose=0)
    counter = Compilations(model, monkeypatch)
    history = model.fit(pictures, truth, batch_size=2, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert counter.count == (25 if backend_name() == "torch" else 0)  # PyTorch runs eagerly: once a step
