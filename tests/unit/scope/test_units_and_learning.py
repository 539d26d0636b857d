"""Filters over a data set, their tuning, and how a network learns: planted cases and literal twins."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from convscope.errors import ModelError, PlanError
from convscope.records.learning import LayerState
from convscope.scope.embedding import embedding
from convscope.scope.feed import as_feed
from convscope.scope.learning import LayerWatch, filter_strip, layer_states, remarks, weights_by_layer
from convscope.scope.start_check import check_start
from convscope.scope.tap import Probe
from convscope.scope.tuning import measure_tuning, spectrum
from convscope.scope.units import measure_units

pytestmark = [
    pytest.mark.backend,
    # Keras' own get_weights() under NumPy 2
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

PICTURES = np.random.default_rng(0).normal(size=(21, 10, 10, 3)).astype("float32")


def one_layer(kernel: np.ndarray, bias: Any, activation: str, size: int = 10) -> keras.Model:
    inputs = L.Input((size, size, kernel.shape[2]))
    conv = L.Conv2D(kernel.shape[-1], kernel.shape[:2], activation=activation, name="conv")
    model = keras.Model(inputs, conv(inputs))
    conv.set_weights([kernel, np.asarray(bias, "float32")])
    return model


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh", "linear"])
def test_units_equal_numpy_over_everything_at_once(activation: str) -> None:
    rng = np.random.default_rng(3)
    kernel = rng.normal(size=(3, 3, 3, 6)).astype("float32")
    kernel[..., 1] = 2 * kernel[..., 0]  # a twin
    kernel[..., 2] = 0
    probe = Probe(one_layer(kernel, [0, 0, -1, 0, 0, 9], activation), batch_size=4)
    found = measure_units(probe, as_feed(PICTURES), "conv")
    flat = probe.activations(PICTURES, "conv")["conv"].reshape(-1, 6).astype(np.float64)
    # two graphs may add the 27 products in another order: a few units in the last place of float32
    np.testing.assert_allclose(found.maximum, flat.max(axis=0), rtol=2e-6)
    np.testing.assert_allclose(found.mean, flat.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found.zeros, (flat == 0).mean(axis=0))
    expected = np.corrcoef(np.delete(flat, 2, axis=1).T)
    np.testing.assert_allclose(np.delete(np.delete(found.correlation, 2, 0), 2, 1), expected, atol=1e-6)
    slopes = {
        "sigmoid": flat * (1 - flat) < 0.01,
        "tanh": 1 - flat**2 < 0.01,
        "relu": flat == 0,
    }
    if activation == "linear":
        assert found.saturated is None
    else:
        np.testing.assert_allclose(found.saturated, slopes[activation].mean(axis=0))
    if activation == "relu":
        assert found.dead() == [2] and 2 in found.mostly_saturated()
        assert found.twins() == [(0, 1)]
        assert "dead (never above zero): 2" in str(found) and "twins: 0 and 1" in str(found)


def test_tuning_says_what_planted_filters_are() -> None:
    size = 7
    y, x = np.mgrid[:size, :size] - 3.0
    window = np.exp(-(x**2 + y**2) / 8)
    kernel = np.zeros((size, size, 3, 5), "float32")
    kernel[..., 0] = (np.cos(2 * np.pi * y / 4) * window)[..., None]  # horizontal stripes
    kernel[..., 1] = (np.cos(2 * np.pi * x / 6) * window)[..., None]  # vertical stripes
    kernel[..., 2] = (np.cos(2 * np.pi * (x + y) / np.sqrt(2) / 4) * window)[..., None]  # rising to the right
    kernel[:, :, 0, 3], kernel[:, :, 1, 3], kernel[:, :, 2, 3] = 1, -1, -1  # red
    kernel -= kernel.mean(axis=(0, 1), keepdims=True) * (np.arange(5) < 3)
    model = one_layer(kernel, np.zeros(5), "relu", size=32)
    found = measure_tuning(Probe(model), "conv", low=-1, high=1)
    directions, waves = found.best_grating()
    assert directions[:3].tolist() == [0, 90, 45]
    assert waves[0] == 4 and waves[1] == 6 and waves[2] == 4
    assert (found.selectivity()[:3] > 0.5).all()
    words = found.words()
    assert words[0] == "edge at 0°, stripes of 4 px" and words[1].startswith("edge at 90°")
    assert words[3] == "colour: red" and words[4] == "answers to none of the patterns"
    with pytest.raises(ModelError, match="height and width"):
        pooled = L.GlobalAveragePooling2D(name="gap")(model.output)
        measure_tuning(Probe(keras.Model(model.inputs, pooled)), "gap")


def test_spectrum_peaks_at_the_filters_frequency() -> None:
    x = np.arange(16)
    kernel = np.broadcast_to(np.cos(2 * np.pi * x / 4)[None, :], (16, 16))[None, :, :, None]
    found = spectrum(kernel, 16)[0]
    assert np.unravel_index(found.argmax(), found.shape) in [(8, 4), (8, 12)]


def deep(activation: str, scale: float = 1.0) -> keras.Model:
    keras.utils.set_random_seed(2)
    inputs = L.Input((6,))
    x = inputs
    for i in range(8):
        x = L.Dense(16, activation=activation, name=f"dense{i}", kernel_initializer="glorot_normal")(x)
    model = keras.Model(inputs, L.Dense(1, name="head")(x))
    for layer in model.layers[1:-1]:
        layer.set_weights([scale * w for w in layer.get_weights()])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


X = np.random.default_rng(1).normal(size=(16, 6)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


def test_vanishing_is_said_with_the_layer_and_healthy_networks_are_left_alone() -> None:
    words = " ".join(remarks(layer_states(Probe(deep("sigmoid")), X, Y)))
    assert "vanishing: the gradient at dense0" in words
    assert not any("vanishing" in r or "exploding" in r for r in remarks(layer_states(Probe(deep("tanh")), X, Y)))
    words = " ".join(remarks(layer_states(Probe(deep("linear", 30.0)), X, Y)))
    assert "exploding: the gradient at dense0" in words
    assert "saturated: " in " ".join(remarks(layer_states(Probe(deep("tanh", 40.0)), X, Y)))


def test_gradient_norm_and_update_ratio_are_exact() -> None:
    model = deep("tanh")
    states = {s.layer: s for s in layer_states(Probe(model), X, Y)}
    error = model.predict(X, verbose=0) - Y
    np.testing.assert_allclose(states["head"].gradient_norm, np.abs(2 * error).mean(), rtol=1e-4)
    before = weights_by_layer(model)
    model.fit(X, Y, batch_size=16, epochs=1, verbose=0)
    states = {s.layer: s for s in layer_states(Probe(model), X, Y, before=before)}
    kernel, bias = model.get_layer("dense3").get_weights()
    change = np.concatenate([(kernel - before["dense3"][0]).ravel(), (bias - before["dense3"][1]).ravel()])
    size = np.concatenate([before["dense3"][0].ravel(), before["dense3"][1].ravel()])
    np.testing.assert_allclose(states["dense3"].update_ratio, np.linalg.norm(change) / np.linalg.norm(size), rtol=1e-4)
    with pytest.raises(ModelError, match="pass loss="):
        layer_states(Probe(one_layer(np.ones((1, 1, 3, 1), "float32"), [0.0], "relu")), PICTURES, Y)


def test_the_last_layer_is_measured_before_its_softmax() -> None:
    """There the gradient of cross-entropy is p - y; behind it, 1 / p would dwarf every other layer."""
    keras.utils.set_random_seed(4)
    inputs = L.Input((6,))
    x = L.ReLU(max_value=6.0, name="six")(L.Dense(9, name="hidden")(inputs))
    model = keras.Model(inputs, L.Dense(3, activation="softmax", name="head")(x))
    truth = np.arange(16) % 3
    watch = LayerWatch(model, X, truth, loss="sparse_categorical_crossentropy")
    states = {s.layer: s for s in watch.look()}
    expected = np.linalg.norm(model.predict(X, verbose=0) - np.eye(3)[truth], axis=1).mean()
    np.testing.assert_allclose(states["head"].gradient_norm, expected, rtol=1e-4)
    hidden = Probe(model).activations(X, "hidden")["hidden"]
    assert states["six"].saturated == pytest.approx(((hidden <= 0) | (hidden >= 6)).mean())
    assert states["six"].gradient_norm is None and states["head"].saturated is None


def test_a_watch_is_compiled_once_and_sees_new_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    from convscope.scope import tap

    runs, original = [], tap.first_run
    monkeypatch.setattr(tap, "first_run", lambda *given, **fixed: runs.append(1) or original(*given, **fixed))
    model = deep("tanh")
    watch = LayerWatch(model, X, Y)
    first = watch.look()
    model.get_layer("head").set_weights([3 * w for w in model.get_layer("head").get_weights()])
    assert watch.look()[-1].gradient_norm != first[-1].gradient_norm and len(runs) == 1


def test_a_loss_of_the_whole_batch_counts_as_the_mean_of_its_pictures() -> None:
    model = deep("tanh")
    one = LayerWatch(model, X, Y, loss=lambda y, p: keras.ops.mean((y - p) ** 2)).look()
    each = LayerWatch(model, X, Y, loss="mse").look()
    np.testing.assert_allclose([s.gradient_norm for s in one], [s.gradient_norm for s in each], rtol=1e-5)


def test_remarks_on_updates() -> None:
    said = remarks([LayerState("a", 1.0, None, 1e-7), LayerState("b", 1.0, 0.1, 0.5), LayerState("c", 1.0, None, 1e-3)])
    assert said[0].startswith("a hardly moves") and said[1].startswith("b moves too fast") and len(said) == 2


def test_start_check() -> None:
    keras.utils.set_random_seed(3)
    inputs = L.Input((16, 16, 8))
    x = L.Conv2D(32, 3, activation="relu", kernel_initializer="he_normal", name="he")(inputs)
    x = L.Conv2D(32, 3, activation="tanh", kernel_initializer="glorot_uniform", name="glorot")(x)
    x = L.Conv2D(32, 3, activation="relu", kernel_initializer=keras.initializers.RandomNormal(stddev=1), name="wild")(x)
    checks = {c.layer: c for c in check_start(keras.Model(inputs, x))}
    assert checks["he"].is_fine and checks["he"].rule == "he" and checks["he"].expected == 2 / 72
    assert checks["glorot"].is_fine and checks["glorot"].rule == "glorot"
    assert checks["glorot"].expected == 2 / (288 + 288) and not checks["wild"].is_fine


def test_embeddings() -> None:
    rng = np.random.default_rng(5)
    truth = np.repeat([0, 1, 2], 30)
    values = rng.normal(size=(90, 40)) + 6 * np.eye(40)[truth]
    mine, theirs = embedding(values), PCA(2).fit_transform(values)
    np.testing.assert_allclose(np.abs(mine), np.abs(theirs), atol=1e-8)
    flat = embedding(values, method="tsne", seed=1)
    neighbours = NearestNeighbors(n_neighbors=6).fit(flat).kneighbors(flat, return_distance=False)[:, 1:]
    assert (truth[neighbours] == truth[:, None]).mean() > 0.95
    np.testing.assert_array_equal(flat, embedding(values, method="tsne", seed=1))
    with pytest.raises(PlanError, match="'pca' or 'tsne'"):
        embedding(values, method="umap")


def test_film_strip() -> None:
    model = one_layer(np.ones((3, 3, 3, 2), "float32"), [0, 0], "relu")
    first = weights_by_layer(model)
    model.get_layer("conv").set_weights([np.full((3, 3, 3, 2), 2.0), np.zeros(2)])
    strip = filter_strip([first, weights_by_layer(model)], "conv", 1)
    assert strip.shape == (2, 3, 3, 3) and (strip[0] == 1).all() and (strip[1] == 2).all()
    with pytest.raises(PlanError, match="filter from 0 to 1"):
        filter_strip([first], "conv", 2)
