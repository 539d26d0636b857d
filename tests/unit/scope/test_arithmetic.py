"""Every kind of layer: the value by hand equals what the back end computed, within the bound."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from convscope.records.arithmetic import Arithmetic
from convscope.scope.arithmetic.work import arithmetic, needed
from convscope.scope.graph import Graph, graph_of
from unit.scope.capture import run_calls

pytestmark = pytest.mark.backend

ONE, TWO, THREE = (17, 4), (11, 13, 4), (7, 8, 9, 4)

LAYERS: dict[str, tuple[tuple[int, ...], Any]] = {
    "conv1d causal": (ONE, lambda: layers.Conv1D(3, 3, padding="causal", dilation_rate=2)),
    "conv1d same stride": (ONE, lambda: layers.Conv1D(3, 4, padding="same", strides=3, activation="tanh")),
    "conv2d valid": (TWO, lambda: layers.Conv2D(5, 3)),
    "conv2d same stride 2": (TWO, lambda: layers.Conv2D(5, (3, 4), padding="same", strides=2, activation="relu")),
    "conv2d dilated groups": (TWO, lambda: layers.Conv2D(6, 3, padding="same", dilation_rate=(2, 3), groups=2)),
    "conv2d no bias softmax": (TWO, lambda: layers.Conv2D(6, 3, use_bias=False, activation="softmax")),
    "conv3d": (THREE, lambda: layers.Conv3D(3, (2, 3, 3), padding="same", strides=(1, 2, 2), activation="gelu")),
    "depthwise1d": (ONE, lambda: layers.DepthwiseConv1D(3, depth_multiplier=2, padding="same")),
    "depthwise2d": (TWO, lambda: layers.DepthwiseConv2D(3, strides=2, depth_multiplier=3, padding="same")),
    "depthwise2d dilated": (TWO, lambda: layers.DepthwiseConv2D(3, dilation_rate=2, activation="silu")),
    "separable1d": (ONE, lambda: layers.SeparableConv1D(5, 3, depth_multiplier=2, padding="same")),
    "separable2d": (TWO, lambda: layers.SeparableConv2D(5, 3, strides=2, padding="same", activation="elu")),
    "transpose1d": (ONE, lambda: layers.Conv1DTranspose(3, 4, strides=2, padding="same")),
    "transpose2d same": (TWO, lambda: layers.Conv2DTranspose(3, 3, strides=2, padding="same")),
    "transpose2d valid": (TWO, lambda: layers.Conv2DTranspose(3, (5, 2), strides=(2, 3))),
    "transpose2d gaps": (TWO, lambda: layers.Conv2DTranspose(3, 2, strides=3)),
    "transpose2d dilated": (TWO, lambda: layers.Conv2DTranspose(3, 3, dilation_rate=2, padding="same")),
    "transpose2d extra": (TWO, lambda: layers.Conv2DTranspose(3, 4, strides=2, padding="same", output_padding=1)),
    "transpose3d": (THREE, lambda: layers.Conv3DTranspose(2, 3, strides=2, padding="same")),
    "dense on maps": (TWO, lambda: layers.Dense(5, activation="sigmoid")),
    "max1d": (ONE, lambda: layers.MaxPooling1D(3, 2, padding="same")),
    "max2d": (TWO, lambda: layers.MaxPooling2D(3, 2, padding="same")),
    "max3d": (THREE, lambda: layers.MaxPooling3D(2)),
    "average1d": (ONE, lambda: layers.AveragePooling1D(4, 2, padding="same")),
    "average2d": (TWO, lambda: layers.AveragePooling2D(3, 2, padding="same")),
    "average3d": (THREE, lambda: layers.AveragePooling3D(2, padding="same")),
    "adaptive": (TWO, lambda: layers.AdaptiveAveragePooling2D((4, 5))),
    "global average": (TWO, lambda: layers.GlobalAveragePooling2D()),
    "global max kept": (TWO, lambda: layers.GlobalMaxPooling2D(keepdims=True)),
    "batch norm": (TWO, lambda: layers.BatchNormalization()),
    "batch norm plain": (TWO, lambda: layers.BatchNormalization(center=False, scale=False)),
    "layer norm": (TWO, lambda: layers.LayerNormalization()),
    "layer norm places": (TWO, lambda: layers.LayerNormalization(axis=(1, 2, 3))),
    "group norm": (TWO, lambda: layers.GroupNormalization(2)),
    "rms norm": (TWO, lambda: layers.RMSNormalization()),
    "relu capped": (TWO, lambda: layers.ReLU(max_value=0.8, negative_slope=0.1, threshold=0.2)),
    "leaky relu": (TWO, lambda: layers.LeakyReLU(0.3)),
    "elu": (TWO, lambda: layers.ELU(0.7)),
    "prelu": (TWO, lambda: layers.PReLU(alpha_initializer="random_normal", shared_axes=[1, 2])),
    "softmax": (TWO, lambda: layers.Softmax()),
    "softmax rows": (TWO, lambda: layers.Softmax(axis=1)),
    "activation softmax": (TWO, lambda: layers.Activation("softmax")),
    "activation own": (TWO, lambda: layers.Activation(lambda x: keras.ops.sin(x) * 2)),
    "zero padding": (TWO, lambda: layers.ZeroPadding2D(((1, 2), (3, 0)))),
    "cropping": (TWO, lambda: layers.Cropping2D(((1, 2), (3, 0)))),
    "up nearest": (TWO, lambda: layers.UpSampling2D((2, 3))),
    "up bilinear": (TWO, lambda: layers.UpSampling2D((2, 3), interpolation="bilinear")),
    "up 1d": (ONE, lambda: layers.UpSampling1D(3)),
    "flatten": (TWO, lambda: layers.Flatten()),
    "reshape": (TWO, lambda: layers.Reshape((13, 44))),
    "permute": (TWO, lambda: layers.Permute((3, 1, 2))),
    "rescaling": (TWO, lambda: layers.Rescaling(0.3, -1.0)),
    "normalisation": (TWO, lambda: layers.Normalization(mean=[0.1, 0.2, 0.3, 0.4], variance=[1.0, 2.0, 3.0, 4.0])),
    "dropout": (TWO, lambda: layers.Dropout(0.5)),
    "per step": (THREE, lambda: layers.TimeDistributed(layers.Conv2D(3, 3, padding="same", activation="relu"))),
}
FUNCTIONS = ("relu6", "leaky_relu", "selu", "softplus", "softsign", "hard_sigmoid", "hard_silu", "hard_tanh",
             "log_sigmoid", "mish", "exponential", "tanh_shrink", "hard_shrink", "soft_shrink", "squareplus",
             "celu", "log_softmax", "linear")  # fmt: skip
LAYERS |= {f"activation {name}": (TWO, lambda name=name: layers.Activation(name)) for name in FUNCTIONS}


def randomised(model: Any, seed: int = 0) -> Any:
    """Random weights everywhere, batch-norm statistics and biases included (variances positive)."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        values = rng.normal(0, 0.5, weight.shape)
        weight.assign(np.abs(values) + 0.1 if "variance" in weight.path else values)
    return model


def check(graph: Graph, values: dict[str, np.ndarray], path: str, *, count: int = 12) -> list[Arithmetic]:
    """Random values and all corners of one call agree with what was computed."""
    call = graph.find(path)
    shape = call.output_shape
    shape = (*shape[1:], shape[0]) if call.channel_axis == 0 and len(shape) > 1 else shape
    rng = np.random.default_rng(1)
    places = [tuple(int(rng.integers(n)) for n in shape) for _ in range(count)]
    places += [(0,) * len(shape), tuple(n - 1 for n in shape)]
    found = [arithmetic(graph, values, path, at=p[:-1], channel=p[-1]) for p in places]
    for one in found:
        assert one.agrees, f"{one}\n"
        assert one.bound <= 1e-6 * max(1e3, 10 * abs(one.shown))
    return found


@pytest.mark.parametrize("name", LAYERS)
def test_by_hand_equals_computed(name: str) -> None:
    shape, make = LAYERS[name]
    given = keras.Input(shape)
    layer = make()
    model = randomised(keras.Model(given, layer(given)))
    graph = graph_of(model)
    picture = np.random.default_rng(2).normal(0, 1, shape).astype("float32")
    values = run_calls(graph, picture)
    for one in check(graph, values, graph.calls[-1].path):
        largest = one.largest()
        assert largest is None or one.link(*largest).layer == graph.calls[0].path
        assert str(one)
        assert "<" in one._repr_html_()


def test_needed_names_the_calls_around() -> None:
    given = keras.Input((8, 8, 3))
    out = layers.ReLU(name="act")(layers.BatchNormalization(name="bn")(layers.Conv2D(4, 3, name="conv")(given)))
    graph = graph_of(keras.Model(given, out))
    assert needed(graph, "conv") == (graph.calls[0].path, "conv", "bn", "act")
