"""Captum's two-filter network and activation toy: its published numbers come out (its tests/attr)."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers as L

from convscope.explaining.cam import grad_cam
from convscope.scope.tap import Probe

pytestmark = pytest.mark.backend

RAMP = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)


def two_filters(*, frozen: bool = False, two_inputs: bool = False) -> keras.Model:
    """Conv 2 x 3x3 of ones, bias -50 and -75, ReLU, channel-first flatten, Dense(4) of one row, ReLU."""
    picture = L.Input((4, 4, 1), name="x")
    other = L.Input((4, 4, 1), name="y")
    conv, relu = L.Conv2D(2, 3, name="conv"), L.ReLU(name="relu")
    inputs, x = ([picture, other], picture + other) if two_inputs else (picture, picture)
    x = L.Flatten(name="flat")(L.Permute((3, 1, 2), name="channels_first")(relu(conv(x))))
    model = keras.Model(inputs, L.ReLU(name="relu2")(L.Dense(4, name="dense")(x)))
    conv.set_weights([np.ones((3, 3, 1, 2)), np.array([-50.0, -75.0])])
    row = np.array([1, 1, 1, 1, 1, -1, -1, -1.0])
    model.get_layer("dense").set_weights([np.tile(row[:, None], (1, 4)), np.zeros(4)])
    model.trainable = not frozen
    return model


def heat(model: keras.Model, layer: str, images: object = RAMP, **options: object) -> np.ndarray:
    return grad_cam(model, images, 0, layer, signed=True, **options).heat[0]


def test_convolution_values() -> None:
    values = Probe(two_filters()).activations(RAMP, "conv")["conv"]
    np.testing.assert_allclose(values[0, :, :, 0], [[-5, 4], [31, 40]])
    np.testing.assert_allclose(values[0, :, :, 1], [[-30, -21], [6, 15]])


@pytest.mark.parametrize("frozen", [False, True])
def test_grad_cam_at_conv(frozen: bool) -> None:
    model = two_filters(frozen=frozen)
    np.testing.assert_allclose(heat(model, "conv"), [[11.25, 13.5], [20.25, 22.5]], atol=0.01)
    seen = Probe(model).gradients(RAMP, 0, "conv")
    (gradient,) = seen.gradients.values()
    (values,) = seen.values.values()
    per_channel = gradient.mean(axis=(1, 2), keepdims=True) * values
    np.testing.assert_allclose(per_channel[0, :, :, 0], [[-3.75, 3], [23.25, 30]], atol=0.01)
    np.testing.assert_allclose(per_channel[0, :, :, 1], [[15, 10.5], [-3, -7.5]], atol=0.01)


def test_grad_cam_at_relu() -> None:
    np.testing.assert_allclose(heat(two_filters(), "relu"), [[0, 4], [28, 32.5]], atol=0.01)


def test_grad_cam_with_two_inputs_added() -> None:
    images = [RAMP, np.ones_like(RAMP)]
    np.testing.assert_allclose(heat(two_filters(two_inputs=True), "conv", images), [[14.5, 19], [32.5, 37]], atol=0.01)


def test_grad_cam_at_the_input_of_a_layer_and_its_relu() -> None:
    images = RAMP.copy()
    images[0, 1, 1, 0] = -4
    model = two_filters()
    np.testing.assert_allclose(heat(model, "conv", images, side="input"), 0.5625 * images[0, :, :, 0], atol=0.01)
    cut = grad_cam(model, images, 0, "conv", side="input").heat[0]
    np.testing.assert_allclose(cut, np.maximum(0.5625 * images[0, :, :, 0], 0), atol=0.01)
    assert (cut >= 0).all() and cut[1, 1] == 0


def multi_layer(relu: keras.Layer | None = None) -> keras.Model:
    """Captum's BasicModel_MultiLayer; the second linear layer's own activation stays linear."""
    inputs = L.Input((3,))
    x = L.Dense(3, use_bias=False, name="linear0")(inputs)
    x = L.Dense(4, name="linear1")(x)
    x = (relu or L.ReLU(name="relu"))(x)
    model = keras.Model(inputs, L.Dense(2, name="linear2")(x))
    model.get_layer("linear0").set_weights([np.eye(3)])
    model.get_layer("linear1").set_weights([np.ones((3, 4)), np.array([-10.0, 1, 1, 1])])
    model.get_layer("linear2").set_weights([np.ones((4, 2)), np.array([-1.0, 1])])
    return model


def test_activation_toy() -> None:
    probe = Probe(multi_layer())
    seen = probe.activations(np.array([[0, 100, 0], [3, 4, 0]]), ["linear0", "linear1", "relu", "linear2"])
    np.testing.assert_allclose(seen["linear0"][0], [0, 100, 0])
    np.testing.assert_allclose(seen["linear1"][0], [90, 101, 101, 101])
    np.testing.assert_allclose(seen["linear2"][0], [392, 394])
    np.testing.assert_allclose(seen["relu"][1], [0, 8, 8, 8])
    np.testing.assert_allclose(heat(probe.model, "linear0", np.array([[0, 100, 0]])), [[400]], atol=0.01)


if keras.backend.backend() == "torch":  # tensors of the other back ends can't be written in place

    def test_in_place_relu_does_not_overwrite_what_was_seen() -> None:
        import torch

        wrapped = L.TorchModuleWrapper(torch.nn.ReLU(inplace=True), name="relu", output_shape=(None, 4))
        probe = Probe(multi_layer(wrapped))
        picture = np.array([[2, -5, 4]])
        np.testing.assert_allclose(probe.activations(picture, "linear1")["linear1"][0], [-9, 2, 2, 2])
        np.testing.assert_allclose(probe.activations(picture, "relu", "input")["relu"][0], [-9, 2, 2, 2])
        seen = probe.gradients(picture, 0, "linear1")
        np.testing.assert_allclose(seen.values[probe.place("linear1")][0], [-9, 2, 2, 2])
        np.testing.assert_allclose(seen.gradients[probe.place("linear1")][0], [0, 1, 1, 1])
