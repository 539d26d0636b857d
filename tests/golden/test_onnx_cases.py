"""The arithmetic by hand against numbers made by others: the test cases inside the PyPI package `onnx`.

Sources: onnx.backend.test.case.node (cases with inputs and outputs written by hand or in NumPy) and the stored models
of onnx/backend/test/data/pytorch-converted (outputs computed by PyTorch). Nothing is computed by a back end here: the
case's own output stands in its place. Weights of ONNX are (output, input, ...), arrays channels first.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from convscope.scope.arithmetic.work import arithmetic
from convscope.scope.graph import graph_of

onnx = pytest.importorskip("onnx", reason="the oracle is the PyPI package onnx")

pytestmark = pytest.mark.backend

NODE_MODULES = (
    "averagepool",
    "batch_normalization",
    "conv",
    "convtranspose",
    "globalaveragepool",
    "globalmaxpool",
    "maxpool",
)


@dataclass
class Case:
    name: str
    kind: str
    settings: dict[str, Any]
    inputs: list[np.ndarray]
    output: np.ndarray


@dataclass
class Built:
    """A Keras layer that should give `output` for `given` (both without batch); crops are taken off the output."""

    layer: Any
    given: np.ndarray
    weights: list[np.ndarray] = field(default_factory=list)
    crops: list[tuple[int, int]] = field(default_factory=list)


def _settings(node: Any) -> dict[str, Any]:
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


@cache
def node_cases() -> list[Case]:
    for module in NODE_MODULES:
        importlib.import_module(f"onnx.backend.test.case.node.{module}")
    # importing a module of cases registers them
    found = []
    for case in importlib.import_module("onnx.backend.test.case.node")._NodeTestCases:
        node = case.model.graph.node[0]
        inputs, outputs = case.data_sets[0]
        found.append(Case(case.name, node.op_type, _settings(node), [np.asarray(i) for i in inputs], outputs[0]))
    return found


STORED = ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "BatchNormalization", "Elu", "LeakyRelu", "PRelu", "Selu",
          "Sigmoid", "Softmax", "Softplus", "Softsign", "Tanh", "Relu", "Gemm")  # fmt: skip


@cache
def stored_cases() -> list[Case]:
    root = Path(onnx.__file__).parent / "backend" / "test" / "data" / "pytorch-converted"
    found = []
    for folder in sorted(root.iterdir()):
        model = onnx.load(folder / "model.onnx")
        if len(model.graph.node) != 1 or model.graph.node[0].op_type not in STORED:
            continue
        node = model.graph.node[0]
        known = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
        given = iter(sorted((folder / "test_data_set_0").glob("input_*.pb")))
        arrays = [known[name] if name in known else _tensor(next(given)) for name in node.input]
        output = _tensor(folder / "test_data_set_0" / "output_0.pb")
        found.append(Case(folder.name, node.op_type, _settings(node), arrays, output))
    return found


def _tensor(path: Path) -> np.ndarray:
    return onnx.numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))


def usable(case: Case) -> bool:
    """Whether Keras has a layer for the case, so that there is something to work out."""
    if case.kind == "Conv":
        return max(case.settings.get("strides", [1])) == 1 or max(case.settings.get("dilations", [1])) == 1
    if case.kind in ("MaxPool", "AveragePool"):
        words = ("ceil", "dilations", "same_lower", "uint8", "argmax")
        return not any(case.settings.get("pads", ())) and not any(word in case.name for word in words)
    return "training_mode" not in case.settings and case.settings.get("group", 1) == 1


def _paddings(case: Case, kernel: list[int], strides: list[int], dilations: list[int]) -> list[tuple[int, int]]:
    """Padding before and after per axis, as the case says."""
    sizes = case.inputs[0].shape[2:]
    mode = case.settings.get("auto_pad", b"NOTSET")
    if mode in (b"NOTSET", b"VALID"):
        pads = list(case.settings.get("pads", [0] * 2 * len(sizes)))
        return list(zip(pads[: len(sizes)], pads[len(sizes) :]))
    totals = [
        max((ceil(n / s) - 1) * s + (k - 1) * d + 1 - n, 0) for n, k, s, d in zip(sizes, kernel, strides, dilations)
    ]
    lower = mode == b"SAME_LOWER"
    return [(t - t // 2, t // 2) if lower else (t // 2, t - t // 2) for t in totals]


def _sliding(case: Case) -> tuple[list[int], list[int], list[int]]:
    count = case.inputs[0].ndim - 2
    weights = case.inputs[1].shape[2:] if len(case.inputs) > 1 else ()
    kernel = list(case.settings.get("kernel_shape", weights))
    return kernel, list(case.settings.get("strides", [1] * count)), list(case.settings.get("dilations", [1] * count))


def conv(case: Case) -> Built:
    kernel, strides, dilations = _sliding(case)
    weight, *bias = case.inputs[1:]
    groups = case.settings.get("group", 1)
    around = _paddings(case, kernel, strides, dilations)
    make = [layers.Conv1D, layers.Conv2D, layers.Conv3D][len(kernel) - 1]
    layer = make(weight.shape[0], kernel, strides=strides, dilation_rate=dilations, groups=groups,
                 use_bias=bool(bias), data_format="channels_first")  # fmt: skip
    return Built(layer, np.pad(case.inputs[0][0], [(0, 0), *around]), [np.moveaxis(weight, (0, 1), (-1, -2)), *bias])


def conv_transpose(case: Case) -> Built:
    kernel, strides, dilations = _sliding(case)
    weight, *bias = case.inputs[1:]
    make = [layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose][len(kernel) - 1]
    layer = make(weight.shape[1], kernel, strides=strides, dilation_rate=dilations, use_bias=bool(bias),
                 output_padding=None, data_format="channels_first")  # fmt: skip
    sizes, wanted = case.inputs[0].shape[2:], case.output.shape[2:]
    full = [(n - 1) * s + max((k - 1) * d + 1, s) for n, k, s, d in zip(sizes, kernel, strides, dilations)]
    pads = case.settings.get("pads")
    totals = [f - w for f, w in zip(full, wanted)]
    upper = case.settings.get("auto_pad") == b"SAME_UPPER"
    before = list(pads[: len(kernel)]) if pads else [t // 2 if upper else 0 for t in totals]
    return Built(layer, case.inputs[0][0], [np.moveaxis(weight, (0, 1), (-1, -2)), *bias], list(zip(before, totals)))


def pool(case: Case) -> Built:
    kernel, strides, _ = _sliding(case)
    name = {"MaxPool": "MaxPooling", "AveragePool": "AveragePooling"}[case.kind]
    padding = "same" if case.settings.get("auto_pad") == b"SAME_UPPER" else "valid"
    make = getattr(layers, f"{name}{len(kernel)}D")
    return Built(make(kernel, strides, padding, data_format="channels_first"), case.inputs[0][0])


def global_pool(case: Case) -> Built:
    name = {"GlobalAveragePool": "GlobalAveragePooling2D", "GlobalMaxPool": "GlobalMaxPooling2D"}[case.kind]
    return Built(getattr(layers, name)(data_format="channels_first", keepdims=True), case.inputs[0][0])


def batch_norm(case: Case) -> Built:
    layer = layers.BatchNormalization(axis=1, epsilon=case.settings.get("epsilon", 1e-5))
    return Built(layer, case.inputs[0][0], list(case.inputs[1:]))


def dense(case: Case) -> Built:
    weight, *bias = case.inputs[1:]
    kernel = weight.T if case.settings.get("transB") else weight
    return Built(layers.Dense(kernel.shape[1], use_bias=bool(bias)), case.inputs[0][0], [kernel, *bias])


def curve(case: Case) -> Built:
    settings = case.settings
    made = {
        "Elu": lambda: layers.ELU(settings.get("alpha", 1.0)),
        "LeakyRelu": lambda: layers.LeakyReLU(settings.get("alpha", 0.01)),
        "Softmax": lambda: layers.Softmax(axis=settings.get("axis", 1)),
        "PRelu": lambda: layers.PReLU(shared_axes=list(range(2, case.inputs[0].ndim))),
    }
    layer = made.get(case.kind, lambda: layers.Activation(case.kind.lower()))()
    weights = [case.inputs[1].reshape(-1, *(1,) * (case.inputs[0].ndim - 2))] if case.kind == "PRelu" else []
    return Built(layer, case.inputs[0][0], weights)


MAKERS = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "MaxPool": pool,
    "AveragePool": pool,
    "GlobalAveragePool": global_pool,
    "GlobalMaxPool": global_pool,
    "BatchNormalization": batch_norm,
    "Gemm": dense,
}


def check(case: Case) -> int:
    """Work out values of the case by hand and compare; returns how many."""
    built = MAKERS.get(case.kind, curve)(case)
    given = keras.Input(built.given.shape)
    model = keras.Model(given, built.layer(given))
    for variable, value in zip(built.layer.weights, built.weights, strict=True):
        variable.assign(np.broadcast_to(value, variable.shape))
    graph = graph_of(model)
    expected = case.output[0]
    whole = np.zeros(graph.calls[1].output_shape, np.float32)
    starts = [0] + [before for before, _ in built.crops] if built.crops else [0] * expected.ndim
    # a case may ask for more rows than the layer writes: these hold the bias alone
    place = tuple(slice(s, min(s + n, m)) for s, n, m in zip(starts, expected.shape, whole.shape))
    whole[place] = expected[tuple(slice(0, p.stop - p.start) for p in place)]
    values = {graph.calls[0].path: built.given, graph.calls[1].path: whole}
    spots = np.argwhere(np.ones(expected.shape, bool))
    chosen = spots if len(spots) <= 60 else spots[np.random.default_rng(0).choice(len(spots), 60, replace=False)]
    count = 0
    for spot in chosen:
        index = [int(i) + s for i, s in zip(spot, starts)]
        if any(i >= n for i, n in zip(index, whole.shape)):
            continue
        first = graph.calls[1].channel_axis == 0 and len(index) > 1
        at, channel = (index[1:], index[0]) if first else (index[:-1], index[-1])
        found = arithmetic(graph, values, graph.calls[1].path, at=at, channel=channel)
        assert found.agrees, f"{case.name} {tuple(spot)}: {found}"
        count += 1
    return count


@pytest.mark.parametrize("kind", [*sorted({"Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool",
                                           "GlobalMaxPool", "BatchNormalization"})])  # fmt: skip
def test_node_cases(kind: str) -> None:
    cases = [c for c in node_cases() if c.kind == kind and usable(c)]
    assert len(cases) >= {"Conv": 6, "ConvTranspose": 8, "MaxPool": 6, "AveragePool": 7}.get(kind, 2)
    assert all(check(case) for case in cases)


def test_models_converted_from_pytorch() -> None:
    cases = [c for c in stored_cases() if usable(c)]
    assert len(cases) >= 45, sorted(c.name for c in cases)
    assert all(check(case) for case in cases)
    names = " ".join(c.name for c in cases)
    for wanted in ("Conv1d", "Conv2d_depthwise", "Conv2d_groups", "Conv3d_dilated", "ConvTranspose2d", "BatchNorm3d"):
        assert wanted in names, names
