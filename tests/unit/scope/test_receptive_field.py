"""Fields of small graphs: published answers, one pixel changed at a time, holes, whole pictures, unaligned branches."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from convscope.errors import ModelError, UnknownLayerError
from convscope.records.field import ReceptiveField
from convscope.scope.field.effective import effective_field, smallest_box
from convscope.scope.field.propagate import propagate
from convscope.scope.field.report import field_of
from convscope.scope.field.support import support_of
from convscope.scope.graph import graph_of
from unit.scope.capture import run_calls

pytestmark = pytest.mark.backend

Make = Callable[[Any], Any]


def conv(kernel: Any, stride: int = 1, **more: Any) -> Any:
    return layers.Conv2D(1, kernel, strides=stride, **more)


def model_of(make: Make, shape: tuple[int, ...] = (9, 9, 1)) -> Any:
    given = keras.Input(shape)
    return keras.Model(given, make(given))


def last_field(make: Make, size: int = 17, at: tuple[int, ...] | None = None) -> ReceptiveField:
    graph = graph_of(model_of(make, (size, size, 1)))
    return field_of(propagate(graph), graph.calls[-1].path, at=at)


def toy(x: Any, right: Make) -> Any:
    return layers.ReLU()(layers.Add()([conv(1, 4)(x), right(x)]))


def padded(x: Any) -> Any:
    return conv(1, 2)(conv(3, 2)(layers.ZeroPadding2D(((1, 0), (1, 0)))(x)))


def pooled(x: Any) -> Any:
    inner = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(((1, 0), (1, 0)))(x))
    return layers.MaxPooling2D(1, 2)(inner)


def twice(x: Any) -> Any:
    first = toy(x, padded)
    right = conv(3, 2)(layers.ZeroPadding2D(((1, 0), (1, 0)))(first))
    return layers.Add()([conv(1, 2)(first), right])


# Source: receptive_field_computation_test.py of google-research/receptive_field (Apache-2.0)
@pytest.mark.parametrize(
    ("make", "size", "expected"),
    [
        (lambda x: toy(x, padded), 8, (3, 4, 1)),
        (lambda x: toy(x, pooled), 8, (3, 4, 1)),
        (lambda x: toy(x, lambda y: layers.Dropout(0.5)(padded(y))), 8, (3, 4, 1)),
        (lambda x: toy(x, lambda y: conv(1, 2)(conv(3, 2, padding="same")(y))), 9, (3, 4, 1)),
        (twice, 16, (11, 8, 5)),
    ],
    ids=["padded", "pooled", "dropout", "same at 9", "twice"],
)
def test_toy_graphs_have_the_published_fields(make: Make, size: int, expected: tuple[int, int, int]) -> None:
    for axis in last_field(make, size).axes:
        assert (axis.size, axis.stride, -axis.offset) == expected
        assert axis.is_aligned


def test_kernels_that_are_not_square_differ_by_axis() -> None:
    high, wide = last_field(lambda x: conv((3, 1), 2)(conv((3, 5), 2)(x))).axes
    assert (high.size, high.stride, high.offset) == (7, 4, 0)
    assert (wide.size, wide.stride, wide.offset) == (5, 4, 0)


def test_branches_that_do_not_align_are_reported() -> None:
    """The published test must raise here; ours says so and names the place."""
    same = last_field(lambda x: toy(x, lambda y: conv(1, 2)(conv(3, 2, padding="same")(y))), 8)
    assert not same.axes[0].is_aligned
    assert "different centres meet at add" in " ".join(same.notes)
    strides = last_field(
        lambda x: layers.Add()([conv(5, 2)(layers.ZeroPadding2D(((2, 1), (2, 1)))(x)), conv(3)(conv(3)(x))]), 8
    )
    assert strides.axes[0].size is None
    assert not strides.axes[0].is_aligned
    assert "different strides" in strides.notes[0]


def test_holes_are_reported() -> None:
    dilated = last_field(conv(3, dilation_rate=4))
    assert (dilated.axes[0].size, dilated.axes[0].is_dense) == (9, False)
    assert "holes" in str(dilated)
    skipped = last_field(lambda x: conv(3)(conv(1, 2)(x)))
    assert (skipped.axes[0].size, skipped.axes[0].is_dense) == (5, False)
    filled = last_field(lambda x: conv(3)(conv(2, 2)(x)))
    assert (filled.axes[0].size, filled.axes[0].is_dense) == (6, True)


@pytest.mark.parametrize(
    "last",
    [
        layers.GlobalAveragePooling2D(),
        layers.GroupNormalization(1),
        layers.LayerNormalization(axis=(1, 2, 3)),
        lambda x: layers.Dense(2)(layers.Flatten()(x)),
        lambda x: layers.Attention()([layers.Reshape((81, 1))(x)] * 2),
    ],
    ids=["global pool", "group norm", "layer norm", "dense", "attention"],
)
def test_the_whole_picture(last: Make) -> None:
    found = last_field(lambda x: last(conv(3, padding="same")(x)), 9)
    assert all(axis.is_whole and axis.size == 9 for axis in found.axes)
    assert "whole" in str(found)


def test_normalising_channels_keeps_the_place() -> None:
    assert last_field(lambda x: layers.LayerNormalization(axis=-1)(conv(3)(x))).axes[0].size == 3


def test_each_flattened_value_keeps_its_own_pixel() -> None:
    make = lambda x: layers.Reshape((3, 3))(layers.Flatten()(layers.MaxPooling2D(3)(x)))  # noqa: E731 - a short graph
    assert last_field(make, 9, at=(2,)).box == ((6, 8), (0, 8))


def u_net(x: Any) -> Any:
    deep = conv(3, padding="same")(layers.AveragePooling2D(3)(conv(3, padding="same")(x)))
    return conv(3, padding="same")(layers.Concatenate()([x, layers.UpSampling2D(3)(deep)]))


BRUTE: dict[str, Make] = {
    "same even": lambda x: conv(4, 2, padding="same")(x),
    "dilated same": lambda x: conv(3, dilation_rate=2, padding="same")(x),
    "transposed": lambda x: layers.Conv2DTranspose(1, 3, strides=2, padding="same")(conv(3, 2, padding="same")(x)),
    "transposed gaps": lambda x: layers.Conv2DTranspose(1, 2, strides=3)(conv(2, 2)(x)),
    "up nearest": lambda x: conv(3)(layers.UpSampling2D(2)(conv(3, 2)(x))),
    "up bilinear": lambda x: layers.UpSampling2D(2, interpolation="bilinear")(conv(2, 2)(x)),
    "crop and pad": lambda x: layers.Cropping2D(((2, 1), (0, 3)))(layers.ZeroPadding2D(((1, 0), (2, 2)))(conv(3)(x))),
    "u-net": u_net,
    "beside": lambda x: layers.Concatenate(axis=2)([x, conv(3, padding="same")(x)]),
    "depthwise": lambda x: layers.DepthwiseConv2D((2, 3), padding="same")(x),
    "separable": lambda x: layers.SeparableConv2D(2, 3, padding="same")(x),
    "slice": lambda x: conv(3)(x)[:, 1::2, 2:],
    "operators": lambda x: keras.ops.relu(conv(3, padding="same")(x)) + x * 2,
    "permuted": lambda x: layers.Permute((2, 1, 3))(conv((3, 1))(x)),
}  # fmt: skip


@pytest.mark.parametrize("name", BRUTE)
def test_every_value_against_changing_one_pixel_at_a_time(name: str) -> None:
    """The slow twin: change each pixel and see which values move (positive weights, averages: nothing cancels)."""
    size = 9
    model = model_of(BRUTE[name], (size, size, 1))
    for weight in model.weights:
        positive = np.abs(np.random.default_rng(0).normal(1, 0.2, weight.shape))
        weight.assign(positive * ("bias" not in weight.path))
    graph = graph_of(model)
    path = graph.calls[-1].path
    blank = np.zeros((size * size, size, size, 1), np.float32)
    blank.reshape(size * size, -1)[np.arange(size * size), np.arange(size * size)] = 1.0
    outputs = keras.ops.convert_to_numpy(model(blank))
    moved = (outputs > 0).any(axis=-1).reshape(size, size, *outputs.shape[1:-1])
    fields = propagate(graph)
    for at in np.ndindex(*outputs.shape[1:-1]):
        rows, columns = np.nonzero(moved[(slice(None), slice(None), *at)])
        box = field_of(fields, path, at=at).box
        if not len(rows):
            assert any(low > high for low, high in box)
            continue
        assert box == ((rows.min(), rows.max()), (columns.min(), columns.max())), at


def test_transposed_stride_is_a_fraction() -> None:
    axis = last_field(lambda x: layers.Conv2DTranspose(1, 4, strides=4)(conv(3, 2)(x))).axes[0]
    assert axis.stride == Fraction(1, 2)


def test_support_through_max_pooling_is_the_whole_window() -> None:
    """Plain gradients with positive weights fail here: max pooling routes to one cell."""
    graph = graph_of(model_of(lambda x: layers.MaxPooling2D(4)(conv(3)(x)), (10, 10, 1)))
    (support,) = support_of(graph, graph.calls[-1].path, (0, 0))
    assert support is not None
    assert support.sum() == 36
    assert support[:6, :6].all()


def test_effective_field_is_narrower_than_the_exact_one_and_inside_it() -> None:
    def make(x: Any) -> Any:
        for _ in range(4):
            x = conv(3, kernel_initializer="ones", use_bias=False)(x)
        return x

    graph = graph_of(model_of(make, (15, 15, 1)))
    pictures = np.random.default_rng(0).normal(size=(3, 15, 15, 1)).astype("float32")
    found = effective_field(graph, graph.calls[-1].path, [pictures], at=(3, 3))
    # four sums of three in a row: the weights of (1 + x + x^2)^4
    row = np.array([1, 4, 10, 16, 19, 16, 10, 4, 1]) / 81
    np.testing.assert_allclose(found.heat[3:12, 3:12], np.outer(row, row), atol=1e-7)
    exact = field_of(propagate(graph), graph.calls[-1].path, at=(3, 3)).box
    assert exact == ((3, 11), (3, 11))
    low, high = found.box[0]
    assert 3 < low <= high < 11
    inside = tuple(slice(a, b + 1) for a, b in found.box)
    assert found.heat[inside].sum() >= 0.95


def test_smallest_box_keeps_the_share() -> None:
    heat = np.zeros((5, 7))
    heat[2, 3], heat[0, 0] = 97.0, 3.0
    assert smallest_box(heat) == ((2, 2), (3, 3))


def test_bad_places_and_names() -> None:
    graph = graph_of(model_of(conv(3), (9, 9, 1)))
    fields = propagate(graph)
    with pytest.raises(ModelError, match="inside"):
        field_of(fields, graph.calls[-1].path, at=(0, 7))
    with pytest.raises(UnknownLayerError, match="conv2d"):
        field_of(fields, "conv2x")
    with pytest.raises(ModelError, match="Keras model"):
        graph_of("model")
    with pytest.raises(ModelError, match="built"):
        graph_of(keras.Sequential([layers.Dense(2)]))


def test_tracing_a_custom_layer_leaves_it_as_it_was() -> None:
    class Twice(layers.Layer):
        def __init__(self) -> None:
            super().__init__(name="twice")
            self.inner = layers.Conv2D(1, 3, padding="same", name="inner")

        def call(self, x: Any) -> Any:
            return self.inner(keras.ops.relu(self.inner(x)))

        def compute_output_shape(self, shape: Any) -> Any:
            return shape

    layer = Twice()
    model = model_of(layer)
    before = len(layer.inner._inbound_nodes), len(layer._inbound_nodes)
    graph = graph_of(model)
    assert (len(layer.inner._inbound_nodes), len(layer._inbound_nodes)) == before
    assert [c.path for c in graph.calls[1:]] == ["twice/inner", "twice/relu", "twice/inner#1"]
    assert field_of(propagate(graph), "twice").axes[0].size == 5
    picture = np.random.default_rng(0).normal(size=(9, 9, 1)).astype("float32")
    by_calls = run_calls(graph, picture)["twice/inner#1"]
    np.testing.assert_allclose(by_calls, keras.ops.convert_to_numpy(model(picture[None]))[0], atol=1e-6)
