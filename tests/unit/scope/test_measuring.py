"""Arithmetic through a Probe: following factors to the pixels, 16-bit types, changed weights, a real network."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from convscope.errors import ModelError
from convscope.records.arithmetic import Arithmetic
from convscope.scope.measuring import effective_receptive_field, receptive_field, value_by_hand
from convscope.scope.tap import Probe

pytestmark = pytest.mark.backend


def small() -> keras.Model:
    keras.utils.set_random_seed(0)
    given = keras.Input((12, 12, 3), name="picture")
    x = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False, name="conv")(given)
    x = layers.BatchNormalization(name="bn", moving_mean_initializer="random_normal")(x)
    x = layers.ReLU(max_value=6, name="act")(x)
    x = layers.Add(name="add")([x, layers.DepthwiseConv2D(3, padding="same", name="deep")(x)])
    return keras.Model(given, layers.Dense(3, activation="softmax", name="head")(layers.Flatten(name="flat")(x)))


@pytest.fixture(scope="module")
def probe() -> Probe:
    return Probe(small())


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 12, 12, 3)).astype("float32")


def test_the_largest_factor_leads_down_to_a_pixel(probe: Probe, images: np.ndarray) -> None:
    found = value_by_hand(probe, images, "head", channel=1)
    seen = [found.layer]
    while found.layer != "conv":
        factor = found.largest()
        assert factor is not None
        link = found.link(*factor)
        value = found.patch[factor]
        found = value_by_hand(probe, images, link.layer, at=link.at, channel=link.channel)
        assert found.agrees
        assert found.computed == value
        seen.append(found.layer)
    assert seen[:3] == ["head", "flat", "add"]
    pixel = found.link(*found.largest())  # type: ignore[misc]
    assert pixel.layer == "picture"
    assert images[0][(*pixel.at, pixel.channel)] == found.patch[found.largest()]


def test_the_steps_that_follow_are_shown_and_agree(probe: Probe, images: np.ndarray) -> None:
    found = value_by_hand(probe, images, "conv", at=(2, 3), channel=1)
    assert [s.layer for s in found.following] == ["bn", "act"]
    for step in found.following:
        assert step.computed == pytest.approx(step.after, abs=1e-6 * step.magnitude)
    normal = found.following[0]
    facts = normal.facts
    by_formula = facts["γ"] * (found.shown - facts["μ"]) / np.sqrt(facts["σ²"] + facts["ε"]) + facts["β"]
    assert normal.after == pytest.approx(by_formula, rel=1e-12)
    assert sum(v for _, v in found.partial_sums) == pytest.approx(found.total, rel=1e-12)
    assert [n for n, _ in found.partial_sums] == [f"input channel {i}" for i in range(3)]


def test_padding_cells_are_marked_and_lead_nowhere(probe: Probe, images: np.ndarray) -> None:
    last = value_by_hand(probe, images, "conv", at=(5, 5), channel=0)
    assert last.is_padding[2].all()
    assert not last.is_padding[:2, :2].any()
    with pytest.raises(ModelError, match="padding"):
        last.link(2, 0, 0)


def test_changed_weights_are_seen_at_once(images: np.ndarray) -> None:
    model = small()
    probe = Probe(model)
    before = value_by_hand(probe, images, "add", at=(1, 1), channel=0)
    kernel = model.get_layer("conv").kernel
    kernel.assign(keras.ops.convert_to_numpy(kernel) * 2)
    after = value_by_hand(probe, images, "add", at=(1, 1), channel=0)
    assert after.agrees
    assert after.computed != before.computed
    other = value_by_hand(probe, images[1:], "add", at=(1, 1), channel=0)
    assert other.computed != after.computed


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_sixteen_bit_types_as_trained(policy: str) -> None:
    given = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, dtype=policy, name="conv")(given)
    x = layers.Activation("relu", dtype=policy, name="act")(x)
    model = keras.Model(given, layers.Dense(2, dtype=policy, name="dense")(x))
    images = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype("float32")
    trained = Probe(model, precision="as-trained")
    for layer, at in (("conv", (1, 2)), ("act", (0, 0)), ("dense", (3, 3))):
        found = value_by_hand(trained, images, layer, at=at, channel=1)
        assert found.dtype == policy.removeprefix("mixed_")
        assert found.agrees, str(found)
    found = value_by_hand(Probe(model), images, "conv", at=(1, 2), channel=1)
    assert (found.dtype, found.agrees) == ("float32", True)


def test_a_layer_without_arithmetic_is_named() -> None:
    given = keras.Input((6, 4))
    model = keras.Model(given, layers.LSTM(3, name="memory")(given))
    with pytest.raises(ModelError, match="no arithmetic for LSTM at memory"):
        value_by_hand(Probe(model), np.ones((1, 6, 4), "float32"), "memory", channel=0)


def test_it_shows_itself(probe: Probe, images: np.ndarray) -> None:
    found = value_by_hand(probe, images, "conv", at=(2, 3), channel=1)
    text, page = str(found), found._repr_html_()
    assert "27 factors" in text
    assert "then bn: batch normalisation" in text
    assert page.count("<table>") == 9
    assert isinstance(found, Arithmetic)


def test_fields_through_a_probe(probe: Probe, images: np.ndarray) -> None:
    assert receptive_field(probe, "conv").axes[0].size == 3
    assert receptive_field(probe, "deep", at=(0, 0)).box == ((0, 4), (0, 4))
    measured = effective_receptive_field(probe, images, "deep", at=(3, 3))
    box = receptive_field(probe, "deep", at=(3, 3)).box
    outside = measured.heat.copy()
    outside[tuple(slice(low, high + 1) for low, high in box or ())] = 0
    assert outside.sum() == 0
    assert measured.heat.sum() == pytest.approx(1, abs=1e-5)


def test_values_of_a_network_with_many_channels() -> None:
    """Sums of a thousand products in float32 stay within 1e-6 of the sum of their absolute values."""
    keras.utils.set_random_seed(1)
    model = keras.applications.MobileNet(weights=None, input_shape=(96, 96, 3), alpha=0.25, classes=5)
    images = np.random.default_rng(0).uniform(-1, 1, (1, 96, 96, 3)).astype("float32")
    deep = Probe(model)
    for layer, at, channel in (
        ("conv1", (0, 0), 3),
        ("conv_dw_6", (2, 2), 5),
        ("conv_pw_13", (1, 2), 200),
        ("conv_pw_13_bn", (1, 2), 200),
        ("global_average_pooling2d", (0, 0), 7),
        ("predictions", (), 4),
    ):
        name = next(c.name for c in deep.calls(images) if c.name.startswith(layer))
        found = value_by_hand(deep, images, name, at=at, channel=channel)
        assert found.agrees, str(found)
