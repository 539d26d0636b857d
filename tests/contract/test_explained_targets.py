"""Targets beside one class: boxes, regions, likeness, several labels, numbers, one sigmoid unit; closed forms."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L

from contract.explained import OPTIONS, fixed_weights, pictures, small_net
from convscope.backend.tensors import to_numpy
from convscope.errors import TargetError, UnknownLayerError
from convscope.explaining.embedding import Embedding
from convscope.explaining.engine import Wish, explain
from convscope.explaining.method import METHODS, method
from convscope.scope.aims import box, region, similarity
from convscope.scope.tap import Probe

pytestmark = pytest.mark.backend

QUICK = ("gradient-x-input", "grad-cam")
BY_GRADIENT = [n for n in METHODS.names() if method(n).needs_gradients]
ALL = [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in BY_GRADIENT]


def headed(activation: str, units: int = 4) -> keras.Model:
    """`small_net` with its first `units` outputs and this activation."""
    whole = small_net(activation="linear")
    made = L.Dense(units, activation=activation, name="last")
    model = keras.Model(whole.input, made(whole.get_layer("gap").output))
    kernel, bias = whole.get_layer("head").get_weights()
    made.set_weights([kernel[:, :units], bias[:units]])
    return model


@pytest.fixture(scope="module")
def linear() -> Probe:
    return Probe(headed("linear"))


@pytest.fixture(scope="module")
def several() -> Probe:
    return Probe(headed("sigmoid"))


@pytest.fixture(scope="module")
def one_unit() -> Probe:
    return Probe(headed("sigmoid", units=1), classes=("no", "yes"))


def heat(probe: Any, name: str, target: Any) -> Any:
    return explain(probe, pictures(2), name, target, wish=Wish(options=OPTIONS.get(name, {}), signed=True))


@pytest.mark.parametrize("name", ALL)
def test_a_label_of_several_and_a_number_are_explained_before_the_sigmoid(
    linear: Probe, several: Probe, name: str
) -> None:
    """A head of sigmoids is explained by its logit, so it equals a head of plain numbers."""
    one, other = heat(linear, name, 2), heat(several, name, 2)
    np.testing.assert_allclose(one.heat, other.heat, atol=1e-4 * np.abs(one.heat).max() + 1e-9)
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-5)
    assert one.targets[0].kind == "value" and other.targets[0].kind == "logit"


@pytest.mark.parametrize("name", ALL)
def test_one_sigmoid_unit_speaks_for_both_classes(linear: Probe, one_unit: Probe, name: str) -> None:
    """ "yes" is the logit, "no" its negative; what is linear in the score changes its sign."""
    yes, no, plain = heat(one_unit, name, "yes"), heat(one_unit, name, "no"), heat(linear, name, 0)
    np.testing.assert_allclose(yes.scores, plain.scores, rtol=1e-5)
    np.testing.assert_allclose(no.scores, -plain.scores, rtol=1e-5)
    assert [t.label for t in (yes.targets[0], no.targets[0])] == ["yes", "no"]
    scale = np.abs(plain.heat).max() + 1e-9
    np.testing.assert_allclose(yes.heat, plain.heat, atol=1e-4 * scale)
    if name in ("gradient-x-input", "grad-cam", "hires-cam", "xgrad-cam", "integrated-gradients"):
        np.testing.assert_allclose(no.heat, -plain.heat, atol=1e-4 * scale)


def test_a_region_of_a_linear_segmentation_is_its_own_pixels() -> None:
    """Gradient x input of mean(w . x) over the region: w . x / places inside, exactly nothing outside."""
    inputs = L.Input((6, 7, 2))
    model = keras.Model(inputs, L.Conv2D(3, 1, use_bias=False, name="maps")(inputs))
    kernel = np.random.default_rng(0).normal(size=(1, 1, 2, 3)).astype("float32")
    model.get_layer("maps").set_weights([kernel])
    images = np.random.default_rng(1).normal(size=(2, 6, 7, 2)).astype("float32")
    mask = np.zeros((6, 7), bool)
    mask[1:4, 2:6] = True
    found = explain(model, images, "gradient-x-input", region(mask, 1))
    expected = np.where(mask, images @ kernel[0, 0, :, 1], 0) / mask.sum()
    np.testing.assert_allclose(found.heat, expected, atol=1e-6)
    np.testing.assert_allclose(found.scores, expected.sum(axis=(1, 2)), atol=1e-5)
    assert found.targets[0].label == "class 1 inside a region of 12 places" and (found.heat[:, ~mask] == 0).all()
    with pytest.raises(TargetError, match="at the size of the output"):
        explain(model, images, "saliency", region(np.ones((5, 5)), 1))
    with pytest.raises(TargetError, match="something inside"):
        region(np.zeros((6, 7)), 1)


def test_a_box_of_a_linear_detector() -> None:
    """Score = sum over boxes of overlap x score; the overlaps by hand: 1, 1/3 and 0."""
    inputs = L.Input((4, 4, 1))
    flat = L.Flatten()(inputs)
    corners = L.Dense(12, kernel_initializer="zeros", name="corners")(flat)
    says = L.Dense(6, use_bias=False, name="says")(flat)
    model = keras.Model(inputs, [L.Reshape((3, 4), name="boxes")(corners), L.Reshape((3, 2), name="scores")(says)])
    boxes = np.array([[0, 0, 2, 2], [0, 1, 2, 3], [3, 3, 4, 4]], "float32")
    weights = np.random.default_rng(0).normal(size=(16, 6)).astype("float32")
    model.get_layer("corners").set_weights([np.zeros((16, 12)), boxes.ravel()])
    model.get_layer("says").set_weights([weights])
    images = np.random.default_rng(1).normal(size=(2, 4, 4, 1)).astype("float32")
    found = explain(model, images, "gradient-x-input", box((0, 0, 2, 2), 1))
    mixed = weights.reshape(16, 3, 2)[:, :, 1] @ np.array([1, 1 / 3, 0], "float32")
    np.testing.assert_allclose(found.heat, images[..., 0] * mixed.reshape(4, 4), atol=1e-5)
    far = explain(model, images, "occlusion", box((0, 0, 2, 2), 0), wish=Wish(options={"window": 1, "stride": 1}))
    own = weights.reshape(16, 3, 2)[:, :, 0] @ np.array([1, 1 / 3, 0], "float32")
    np.testing.assert_allclose(far.heat, images[..., 0] * own.reshape(4, 4), atol=1e-5)
    with pytest.raises(TargetError, match="top, left, bottom, right"):
        box((2, 0, 1, 2), 0)


def test_a_picture_with_no_box_has_no_heat_and_no_nan() -> None:
    """A detector whose boxes all lie elsewhere: the score is 0, and so is the heat."""
    inputs = L.Input((4, 4, 1))
    flat = L.Flatten()(inputs)
    corners = L.Dense(4, kernel_initializer="zeros", bias_initializer="zeros")(flat)
    model = fixed_weights(keras.Model(inputs, [L.Reshape((1, 4))(corners), L.Reshape((1, 2))(L.Dense(2)(flat))]))
    for layer in model.layers:
        if layer.name.startswith("dense") and layer.units == 4:
            layer.set_weights([np.zeros((16, 4)), np.zeros(4)])
    images = np.random.default_rng(1).normal(size=(2, 4, 4, 1)).astype("float32")
    found = explain(model, images, "gradient-x-input", box((1, 1, 3, 3), 0))
    assert (found.heat == 0).all() and (found.scores == 0).all()


def _cosine_gradient(weights: np.ndarray, x: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """d cos(W x, r) / dx, written out."""
    f = x @ weights
    cosine = f @ reference / np.linalg.norm(f) / np.linalg.norm(reference)
    return weights @ ((reference / np.linalg.norm(reference) - cosine * f / np.linalg.norm(f)) / np.linalg.norm(f))


@pytest.mark.parametrize("nested", [False, True])
def test_likeness_to_another_picture_at_an_inner_layer(nested: bool) -> None:
    """The closed form of the cosine of a linear embedding; the embedding lies inside, before a head."""
    inputs = L.Input((4, 4, 1))
    embedding = L.Dense(5, use_bias=False, name="embed")(L.Flatten()(inputs))
    body = keras.Model(inputs, embedding, name="body")
    outer = L.Input((4, 4, 1))
    features = body(outer) if nested else embedding
    model = fixed_weights(keras.Model(outer if nested else inputs, L.Dense(2, activation="softmax")(features)))
    images = np.random.default_rng(1).normal(size=(3, 4, 4, 1)).astype("float32")
    at = Embedding(model, "body/embed" if nested else "embed")
    reference = at.of(images[2])
    weights = to_numpy(body.get_layer("embed").kernel.value)
    np.testing.assert_allclose(reference, images[2].ravel() @ weights, atol=1e-5)
    found = explain(at, images, "gradient-x-input", similarity(reference))
    expected = [x * _cosine_gradient(weights, x.ravel(), reference).reshape(4, 4) for x in images[..., 0]]
    np.testing.assert_allclose(found.heat, expected, atol=1e-5)
    assert found.scores[2] == pytest.approx(1, abs=1e-5) and found.targets[0].label == "likeness to another picture"
    with pytest.raises(UnknownLayerError, match=r"unknown layer .embet."):
        Embedding(model, "embet")
    with pytest.raises(TargetError, match="to compare with"):
        explain(at, images, "saliency", similarity(np.ones(3)))
