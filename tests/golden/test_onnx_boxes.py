"""RoIAlign and suppression against numbers made by others: ONNX's own node cases, and onnxruntime live.

Sources: the 13 cases of onnx.backend.test.case.node.{roialign,nonmaxsuppression} inside the PyPI package `onnx`.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.layers.nms import suppress
from convscope.layers.roi_align import roi_align, roi_align_max

onnx = pytest.importorskip("onnx", reason="the oracle is the PyPI package onnx")
keras = load_keras()
pytestmark = pytest.mark.backend


def cases(module: str) -> list[Any]:
    importlib.import_module(f"onnx.backend.test.case.node.{module}")
    every = importlib.import_module("onnx.backend.test.case.node")._NodeTestCases
    kind = {"roialign": "RoiAlign", "nonmaxsuppression": "NonMaxSuppression"}[module]
    return [case for case in every if case.model.graph.node[0].op_type == kind]


def settings(case: Any) -> dict[str, Any]:
    return {a.name: onnx.helper.get_attribute_value(a) for a in case.model.graph.node[0].attribute}


def test_all_thirteen_cases_are_here() -> None:
    assert len(cases("roialign")) == 3 and len(cases("nonmaxsuppression")) == 10


@pytest.mark.parametrize("case", cases("roialign"), ids=lambda c: c.name)
def test_roi_align_node_cases(case: Any) -> None:
    facts, (inputs, outputs) = settings(case), case.data_sets[0]
    features, boxes, _ = inputs
    scale = facts.get("spatial_scale", 1.0)
    aligned = facts.get("coordinate_transformation_mode", b"half_pixel") == b"half_pixel"
    function = roi_align_max if facts.get("mode") == b"max" else roi_align
    assert facts["output_height"] == facts["output_width"] and facts["sampling_ratio"] > 0
    got = function(
        keras.ops.convert_to_tensor(features.transpose(0, 2, 3, 1).astype("float32")),
        keras.ops.convert_to_tensor(boxes[None].astype("float32")),
        scale_yx=(scale, scale),
        size=facts["output_height"],
        sampling=facts["sampling_ratio"],
        aligned=aligned,
    )
    assert np.allclose(to_numpy(got)[0].transpose(0, 3, 1, 2), outputs[0], atol=1e-4)  # stated with four digits


def as_corners(boxes: np.ndarray, centres: bool) -> np.ndarray:
    """ONNX gives y1, x1, y2, x2, whichever corner comes first, or x, y, width, height of the centre."""
    if centres:
        low, high = boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2
        return np.concatenate([low, high], axis=-1)
    y, x = np.sort(boxes[..., 0::2], axis=-1), np.sort(boxes[..., 1::2], axis=-1)
    return np.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], axis=-1)


@pytest.mark.parametrize("case", cases("nonmaxsuppression"), ids=lambda c: c.name)
def test_suppression_node_cases(case: Any) -> None:
    inputs, outputs = case.data_sets[0]
    boxes, scores = np.asarray(inputs[0], "float32"), np.asarray(inputs[1], "float32")
    numbers = [np.asarray(x).reshape(-1) for x in inputs[2:]]
    most, iou_threshold, least = (float(x[0]) if len(x) else 0.0 for x in (*numbers, *[np.zeros(0)] * 3)[:3])
    corners = as_corners(boxes, bool(settings(case).get("center_point_box", 0)))
    found = []
    for picture in range(scores.shape[0]):
        for label in range(scores.shape[1]):
            kept = suppress(
                keras.ops.convert_to_tensor(corners[picture][None].astype("float32")),
                keras.ops.convert_to_tensor(scores[picture, label][None]),
                most=int(most),
                iou_threshold=iou_threshold,
                score_threshold=least,
            )
            found += [[picture, label, int(k)] for k in to_numpy(kept.index)[0][to_numpy(kept.valid)[0]]]
    assert found == outputs[0].tolist()


def session(node: Any, inputs: dict[str, np.ndarray], kind: int, rank: int) -> Any:
    runtime = pytest.importorskip("onnxruntime", reason="the oracle is onnxruntime")
    types = {k: onnx.helper.np_dtype_to_tensor_dtype(v.dtype) for k, v in inputs.items()}
    given = [onnx.helper.make_tensor_value_info(k, types[k], list(v.shape)) for k, v in inputs.items()]
    made = onnx.helper.make_tensor_value_info("out", kind, [None] * rank)
    graph = onnx.helper.make_graph([node], "one", given, [made])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 16)], ir_version=9)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(model.SerializeToString(), options).run(None, inputs)[0]


def some_boxes(rng: np.random.Generator, count: int, side: float) -> np.ndarray:
    low = rng.uniform(-5, side, (count, 2))
    return np.concatenate([low, low + rng.uniform(1, side / 2, (count, 2))], axis=-1).astype("float32")


@pytest.mark.parametrize("sampling", [1, 2, 3])
@pytest.mark.parametrize("aligned", [True, False])
def test_roi_align_as_onnxruntime_does_it(aligned: bool, sampling: int) -> None:
    rng = np.random.default_rng(3)
    features, boxes = rng.uniform(size=(1, 11, 13, 4)).astype("float32"), some_boxes(rng, 40, 100)
    node = onnx.helper.make_node(
        "RoiAlign", ["x", "boxes", "picture"], ["out"], output_height=7, output_width=7, sampling_ratio=sampling,
        spatial_scale=0.125, coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
    )  # fmt: skip
    inputs = {"x": features.transpose(0, 3, 1, 2).copy(), "boxes": boxes, "picture": np.zeros(40, np.int64)}
    wanted = session(node, inputs, onnx.TensorProto.FLOAT, 4).transpose(0, 2, 3, 1)
    got = roi_align(keras.ops.convert_to_tensor(features), keras.ops.convert_to_tensor(boxes[None]),
                    scale_yx=(0.125, 0.125), sampling=sampling, aligned=aligned)  # fmt: skip
    assert np.abs(to_numpy(got)[0] - wanted).max() < 1e-5


def test_suppression_as_onnxruntime_does_it() -> None:
    rng = np.random.default_rng(4)
    boxes, scores = some_boxes(rng, 300, 100), rng.uniform(size=300).astype("float32")
    labels = rng.integers(0, 4, 300)
    per_class = np.where(labels == np.arange(4)[:, None], scores, 0.0).astype("float32")[None]
    node = onnx.helper.make_node("NonMaxSuppression", ["boxes", "scores", "most", "iou", "least"], ["out"])
    inputs = {
        "boxes": boxes[None][..., [1, 0, 3, 2]].copy(), "scores": per_class, "most": np.array([300], np.int64),
        "iou": np.array([0.45], np.float32), "least": np.array([0.1], np.float32),
    }  # fmt: skip
    wanted = session(node, inputs, onnx.TensorProto.INT64, 2)[:, 2]
    kept = suppress(*(keras.ops.convert_to_tensor(x[None]) for x in (boxes, scores, labels)), most=300,
                    iou_threshold=0.45, score_threshold=0.1)  # fmt: skip
    valid = to_numpy(kept.valid)[0]
    assert sorted(to_numpy(kept.index)[0][valid]) == sorted(wanted) and 20 < len(wanted) < 280
    assert (np.diff(to_numpy(kept.score)[0][valid]) <= 0).all()
