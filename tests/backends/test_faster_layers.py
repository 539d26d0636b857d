"""Faster layers while training: the same numbers as Keras' own, ties included; the model stays plain Keras."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from convscope.backend.devices import is_tensorflow_on_cpu
from convscope.backend.norms import normalised
from convscope.backend.pooling import is_jax_on_cpu, tiled_max_pool
from convscope.training.faster_layers import faster_layers, plain_norms, tiled_poolings

pytestmark = pytest.mark.backend

on_jax = pytest.mark.skipif(keras.backend.backend() != "jax", reason="the drop-in is for JAX")


def network(*, norm: bool = False, **pooling: object) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((9, 8, 3)),
            keras.layers.Conv2D(4, 3, padding="same", activation="relu"),
            *([keras.layers.BatchNormalization(momentum=0.9)] if norm else []),
            keras.layers.MaxPooling2D(**{"pool_size": 2, **pooling}),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )


@on_jax
@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("shape", [(3, 8, 12, 5), (2, 9, 7, 1)])
def test_values_and_gradients_are_xlas_bits_with_many_ties(size: int, shape: tuple[int, ...]) -> None:
    import jax

    rng = np.random.default_rng(0)
    x = rng.integers(-1, 3, shape).astype(np.float32)  # few values, so most windows have ties

    def plain(x: jax.Array) -> jax.Array:
        return keras.ops.max_pool(x, (size, size), strides=(size, size), padding="valid", data_format="channels_last")

    mine, back = jax.vjp(tiled_max_pool(size), x)
    other, other_back = jax.vjp(plain, x)
    np.testing.assert_array_equal(mine, other)
    gradient = rng.normal(size=mine.shape).astype(np.float32)
    np.testing.assert_array_equal(back(gradient)[0], other_back(gradient)[0])


def test_the_gradient_goes_to_the_first_of_equals() -> None:
    """By hand: in [[1, 5], [5, 2]] it goes to the upper right."""
    if keras.backend.backend() != "jax":
        assert not is_jax_on_cpu()
        return
    import jax

    x = np.array([[1.0, 5.0], [5.0, 2.0]], np.float32).reshape(1, 2, 2, 1)
    _, back = jax.vjp(tiled_max_pool(2), x)
    assert np.asarray(back(np.full((1, 1, 1, 1), 7.0, np.float32))[0]).reshape(2, 2).tolist() == [[0, 7], [0, 0]]


@pytest.mark.parametrize("norm", [False, True])
def test_training_with_it_learns_the_same_and_leaves_no_trace(norm: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((8, 9, 8, 3), np.float32), np.arange(8) % 2
    losses, weights = [], []
    for fast in (False, True):
        model = network(norm=norm)
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        if fast:
            with faster_layers(model) as words:
                assert ("max pooling (layers: 1)" in words) == is_jax_on_cpu()
                assert ("normalisation (layers: 1)" in words) == (norm and is_tensorflow_on_cpu())
                assert any("call" in vars(layer) for layer in model.layers) == bool(words)
                losses.append([float(model.train_on_batch(x, y)) for _ in range(3)])
                model.save(tmp_path / "inside.keras")
        else:
            losses.append([float(model.train_on_batch(x, y)) for _ in range(3)])
        weights.append(model.get_weights())
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)
    for mine, other in zip(*weights, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-6)
    assert not any("call" in vars(layer) for layer in model.layers)
    assert {"MaxPooling2D"} | ({"BatchNormalization"} if norm else set()) <= {type(x).__name__ for x in model.layers}
    opened = keras.models.load_model(tmp_path / "inside.keras")
    assert "convscope" not in json.dumps(opened.get_config())
    np.testing.assert_allclose(opened.predict_on_batch(x), model.predict_on_batch(x), atol=1e-6)


@pytest.mark.parametrize("other", [{"strides": 1}, {"padding": "same"}, {"pool_size": (2, 3)}])
def test_windows_that_overlap_or_are_padded_stay_as_they_are(other: dict[str, object]) -> None:
    assert tiled_poolings(network(**other)) == []
    assert len(tiled_poolings(network())) == 1


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the drop-in is for TensorFlow")
@pytest.mark.parametrize(("scale", "center"), [(True, True), (False, False)])
def test_a_fused_norm_is_keras_own_in_values_statistics_and_gradients(scale: bool, center: bool) -> None:
    import tensorflow as tf

    rng = np.random.default_rng(0)
    x, back = (tf.constant(rng.normal(3, 2, (4, 5, 6, 7)), tf.float32) for _ in range(2))
    layer = keras.layers.BatchNormalization(scale=scale, center=center)
    layer.build(x.shape)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(1, 0.3, weight.shape))
    weights = [w.value for w in layer.trainable_weights]
    with tf.GradientTape() as tape:
        tape.watch(x)
        usual = layer(x, training=True)
    wanted = tape.gradient(usual, [x, *weights], back)
    with tf.GradientTape() as tape:
        tape.watch(x)
        mine, mean, variance = normalised(x, layer.gamma, layer.beta, layer.epsilon)
    found = tape.gradient(mine, [x, *weights], back)
    np.testing.assert_allclose(mine, usual, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mean, np.mean(x, axis=(0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(variance, np.var(x, axis=(0, 1, 2)), rtol=1e-5)  # not the unbiased one
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_only_plain_norms_are_fused() -> None:
    assert len(plain_norms(network(norm=True))) == 1
    inputs = keras.Input((4, 5, 6))
    others = [
        keras.layers.BatchNormalization(axis=1),
        keras.layers.BatchNormalization(renorm=True),
        keras.layers.BatchNormalization(dtype="mixed_bfloat16"),
        keras.layers.LayerNormalization(),
    ]
    x = inputs
    for layer in others:
        x = layer(x)
    assert plain_norms(keras.Model(inputs, x)) == []


def test_a_frozen_norm_keeps_its_statistics_inside() -> None:
    model = network(norm=True)
    norm = model.layers[1]
    norm.trainable = False
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = [np.array(w) for w in norm.get_weights()]
    with faster_layers(model):
        model.train_on_batch(np.random.default_rng(0).random((8, 9, 8, 3), np.float32), np.arange(8) % 2)
    for a, b in zip(norm.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
