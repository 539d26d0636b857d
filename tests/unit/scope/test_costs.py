"""Costs against counts written out by hand, and the published ResNets with the stride at the end of a stage."""

from __future__ import annotations

from math import prod
from typing import Any

import keras
import pytest
from keras import layers

from convscope.scope.costs import costs_of
from convscope.scope.field.propagate import propagate
from convscope.scope.field.report import field_of
from convscope.scope.graph import graph_of

pytestmark = pytest.mark.backend

# layer on (8, 10, 6) -> multiply-adds, operations, parameters; all by hand
CASES: dict[str, tuple[Any, int, int, int]] = {
    "conv": (lambda: layers.Conv2D(4, 3), 6 * 8 * 4 * 54, 2 * 6 * 8 * 4 * 54 + 6 * 8 * 4, 54 * 4 + 4),
    "grouped": (lambda: layers.Conv2D(4, 3, groups=2, use_bias=False), 6 * 8 * 4 * 27, 2 * 6 * 8 * 4 * 27, 27 * 4),
    "depthwise": (
        lambda: layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
        80 * 12 * 9,
        2 * 80 * 12 * 9 + 80 * 12,
        9 * 12 + 12,
    ),
    "separable": (
        lambda: layers.SeparableConv2D(5, 3, padding="same", use_bias=False),
        80 * (6 * 9 + 6 * 5),
        2 * 80 * (6 * 9 + 6 * 5),
        54 + 30,
    ),
    "transposed": (
        lambda: layers.Conv2DTranspose(5, 2, strides=2),
        80 * 6 * 4 * 5,
        2 * 80 * 6 * 4 * 5 + 16 * 20 * 5,
        4 * 30 + 5,
    ),
    "dense": (lambda: layers.Dense(7), 80 * 42, 2 * 80 * 42 + 80 * 7, 49),
    "pool": (lambda: layers.MaxPooling2D(2), 0, 4 * 5 * 6 * 4, 0),
    "batch norm": (lambda: layers.BatchNormalization(), 0, 480, 24),
    "relu": (lambda: layers.ReLU(), 0, 0, 0),
    "per step": (lambda: layers.TimeDistributed(layers.Dense(7)), 8 * 10 * 42, 2 * 3360 + 560, 49),
}


@pytest.mark.parametrize("name", CASES)
def test_counts_by_hand(name: str) -> None:
    make, macs, flops, parameters = CASES[name]
    given = keras.Input((8, 10, 6))
    row = costs_of(graph_of(keras.Model(given, make()(given)))).rows[-1]
    assert (row.macs, row.flops, row.parameters) == (macs, flops, parameters)


def test_shared_weights_count_once_and_every_call_works() -> None:
    given = keras.Input((8, 8, 3))
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    table = costs_of(graph_of(keras.Model(given, shared(shared(given)))))
    assert table["shared"].parameters == 84
    assert table["shared#1"].parameters == 0
    assert table["shared"].macs == table["shared#1"].macs == 64 * 81


def test_memory_follows_the_type() -> None:
    given = keras.Input((8, 8, 3))
    layer = layers.Conv2D(5, 3, dtype="mixed_float16", name="half")
    table = costs_of(graph_of(keras.Model(given, layer(given))))
    assert table["half"].activation_bytes == 6 * 6 * 5 * 2
    assert table.rows[0].activation_bytes == prod((8, 8, 3)) * 4


def test_what_is_not_known_is_not_zero() -> None:
    class Closed(layers.Layer):
        def call(self, x: Any) -> Any:
            if not hasattr(x, "device") or isinstance(x, keras.KerasTensor):
                raise TypeError("only real tensors")
            return x

        def compute_output_shape(self, shape: Any) -> Any:
            return shape

    given = keras.Input((8, 8, 3))
    graph = graph_of(keras.Model(given, Closed(name="closed")(given)))
    assert "only real tensors" in graph.closed["closed"]
    table = costs_of(graph)
    assert table["closed"].macs is None
    assert table.unknown == ("closed",)


def slim_resnet(blocks: tuple[int, ...]) -> keras.Model:
    """ResNet v1 as TF-Slim builds it: bottlenecks with the stride in the last unit of a block (a pooled shortcut)."""

    def conv(x: Any, filters: int, kernel: int, stride: int = 1) -> Any:
        if kernel > 1 and stride > 1:
            before = (kernel - 1) // 2
            x = layers.ZeroPadding2D(((before, kernel - 1 - before),) * 2)(x)
        padding = "valid" if stride > 1 else "same"
        x = layers.Conv2D(filters, kernel, stride, padding, use_bias=False)(x)
        return layers.BatchNormalization()(x)

    def unit(x: Any, width: int, stride: int) -> Any:
        if x.shape[-1] != 4 * width:
            shortcut = conv(x, 4 * width, 1, stride)
        else:
            shortcut = layers.MaxPooling2D(1, stride)(x) if stride > 1 else x
        y = layers.ReLU()(conv(x, width, 1))
        y = layers.ReLU()(conv(y, width, 3, stride))
        return layers.ReLU()(layers.Add()([shortcut, conv(y, 4 * width, 1)]))

    given = keras.Input((224, 224, 3))
    x = layers.ReLU()(conv(given, 64, 7, 2))
    x = layers.MaxPooling2D(3, 2, "same")(x)
    for number, (count, width) in enumerate(zip(blocks, (64, 128, 256, 512), strict=True)):
        for i in range(count):
            x = unit(x, width, 2 if i == count - 1 and number < 3 else 1)
    return keras.Model(given, x)


@pytest.mark.parametrize(
    ("blocks", "size", "padding", "published"),
    [((3, 4, 6, 3), 483, 239, 6.963), ((3, 4, 23, 3), 1027, 511, 14.387), ((3, 8, 36, 3), 1507, 751, 21.811)],
    ids=["50", "101", "152"],
)
def test_resnets_with_the_stride_in_the_last_unit(
    blocks: tuple[int, ...], size: int, padding: int, published: float
) -> None:
    """Source: RECEPTIVE_FIELD_TABLE.md of google-research/receptive_field, resnet_v1 at 224."""
    graph = graph_of(slim_resnet(blocks))
    axis = field_of(propagate(graph), graph.calls[-1].path).axes[0]
    assert (axis.size, axis.stride, axis.offset) == (size, 32, -padding)
    assert costs_of(graph).flops / 1e9 == pytest.approx(published, rel=0.005)


@pytest.mark.parametrize(("name", "times"), [("ResNet50", 1.108), ("ResNet101", 1.052), ("ResNet152", 1.034)])
def test_keras_own_resnets_cost_this_much_more(name: str, times: float) -> None:
    published = {"ResNet50": 6.963, "ResNet101": 14.387, "ResNet152": 21.811}[name]
    model = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(224, 224, 3))
    assert costs_of(graph_of(model)).flops / 1e9 / published == pytest.approx(times, abs=0.004)
