"""Top activations, silencing, comparing: each against a slow, literal way."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers as L

from convscope.errors import DataError, ModelError
from convscope.scope.across_backends import compare_backends
from convscope.scope.compare import compare
from convscope.scope.feed import as_feed
from convscope.scope.silencing import accuracy_without_each_filter
from convscope.scope.similarity import linear_cka
from convscope.scope.tap import Probe
from convscope.scope.top_activations import top_activations

pytestmark = [
    pytest.mark.backend,
    # Keras' own get_weights() under NumPy 2
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

PICTURES = np.random.default_rng(0).normal(size=(13, 12, 12, 3)).astype("float32")
TRUTH = np.random.default_rng(1).integers(0, 3, 13)


def network(*, skip: bool = False, seed: int = 1) -> keras.Model:
    keras.utils.set_random_seed(seed)
    inputs = L.Input((12, 12, 3))
    first = L.Conv2D(6, 3, padding="same", activation="relu", name="first")(inputs)
    x = L.Conv2D(6, 3, padding="same", activation="relu", name="second")(first)
    x = L.Concatenate(name="join")([first, x]) if skip else x
    x = L.Conv2D(4, 3, strides=2, name="third")(x)
    return keras.Model(inputs, L.Dense(3, activation="softmax", name="head")(L.Flatten(name="flat")(x)))


def test_top_activations_and_their_crops() -> None:
    model = network()
    taken: list[int] = []
    feed = as_feed(PICTURES)
    probe = Probe(model, batch_size=5)
    found = top_activations(probe, feed, "second", 2, count=4, progress=lambda what, done, total: taken.append(done))
    maps = probe.activations(PICTURES, "second")["second"][..., 2]
    peaks = maps.max(axis=(1, 2))
    assert [f.index for f in found.most] == list(np.argsort(-peaks)[:4])
    assert found.least[0].index == int(np.argmin(peaks))
    assert taken == [5, 10, 13]
    best = found.most[0]
    row, column = best.at
    assert maps[best.index, row, column] == np.float32(best.value)
    assert best.box == tuple((max(0, p - 2), min(11, p + 2)) for p in best.at)  # two 3x3 kernels see 5 pixels
    alone = np.zeros_like(PICTURES[:1])
    window = tuple(slice(low, high + 1) for low, high in best.box)
    alone[0][window] = best.crop
    assert np.isclose(probe.activations(alone, "second")["second"][0, row, column, 2], best.value, atol=1e-5)
    assert "second channel 2" in str(found)
    with pytest.raises(ModelError, match="from 0 to 5, got 6"):
        top_activations(probe, feed, "second", 6)


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("layer", ["first", "second"])
def test_silencing_every_filter_in_one_sweep(skip: bool, layer: str) -> None:
    model = network(skip=skip)
    found = accuracy_without_each_filter(Probe(model, batch_size=5), as_feed(PICTURES, truth=TRUTH), layer)
    kernel, bias = model.get_layer(layer).get_weights()
    accuracy = float((model.predict(PICTURES, verbose=0).argmax(axis=1) == TRUTH).mean())
    assert found.accuracy == pytest.approx(accuracy)
    for channel in range(6):
        dead_kernel, dead_bias = kernel.copy(), bias.copy()
        dead_kernel[..., channel], dead_bias[channel] = 0, 0
        model.get_layer(layer).set_weights([dead_kernel, dead_bias])
        alone = float((model.predict(PICTURES, verbose=0).argmax(axis=1) == TRUTH).mean())
        assert found.drops[channel] == pytest.approx(accuracy - alone)
    with pytest.raises(DataError, match="labelled pictures"):
        accuracy_without_each_filter(Probe(model), as_feed(PICTURES), layer)


def test_the_five_most_relevant_channels_matter_more_than_five_random_ones() -> None:
    """Trained on bright squares in one of three places; silencing by a literal multiplication of the kernel."""
    rng = np.random.default_rng(4)
    keras.utils.set_random_seed(7)
    truth = rng.integers(0, 3, 300)
    images = rng.normal(0, 0.3, (300, 12, 12, 1)).astype("float32")
    for i, t in enumerate(truth):
        images[i, 4:8, 4 * t : 4 * t + 3] += 1.0
    inputs = L.Input((12, 12, 1))
    x = L.Conv2D(16, 3, activation="relu", name="conv")(inputs)
    x = L.Conv2D(24, 3, activation="relu", name="last")(L.MaxPooling2D()(x))
    model = keras.Model(inputs, L.Dense(3, activation="softmax", name="head")(L.Flatten(name="flat")(x)))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(images[:250], truth[:250], epochs=8, batch_size=25, verbose=0)
    from convscope.scope.maps import feature_maps

    shown = images[250:]
    probe = Probe(model)
    (maps,) = feature_maps(probe, shown, "last")
    weights, bias = model.get_layer("head").get_weights()
    classes = [t.index for t in maps.targets]

    def score(keep: np.ndarray) -> np.ndarray:
        flat = (maps.maps * keep[:, None, None, :]).reshape(len(shown), -1)
        return (flat @ weights + bias)[np.arange(len(shown)), classes]

    whole = score(np.ones((50, 24)))
    top, other = np.ones((50, 24)), np.ones((50, 24))
    for i in range(50):
        top[i, maps.order[i, :5]] = 0
        other[i, rng.choice(24, 5, replace=False)] = 0
    assert np.mean(whole - score(top) > whole - score(other)) >= 0.9


def test_compare_names_the_changed_layer_and_what_follows() -> None:
    one, two = network(seed=1), network(seed=1)
    kernel, bias = two.get_layer("third").get_weights()
    kernel[0, 0, 0, 0] += 0.5
    two.get_layer("third").set_weights([kernel, bias])
    found = compare(Probe(one), Probe(two), PICTURES)
    by_layer = {r.layer: r for r in found.rows}
    assert by_layer["first"].largest == 0 and by_layer["second"].largest == 0
    assert by_layer["first"].cka == pytest.approx(1)
    assert by_layer["third"].largest > 0.01 and by_layer["head"].largest > 0
    first_maps = Probe(one).activations(PICTURES, "second")["second"][..., 0]
    expected = 0.5 * Probe(one).activations(PICTURES, "second")["second"][:, 0:10:2, 0:10:2, 0]
    assert by_layer["third"].largest == pytest.approx(np.abs(expected).max(), rel=1e-4)
    assert by_layer["third"].mean == pytest.approx(np.abs(expected).mean() / 4, rel=1e-4)
    assert first_maps.any() and "third" in str(found) and found.worst().relative > 0


def test_cka() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 6))
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    assert linear_cka(x, 3 * x @ turn + 1) == pytest.approx(1)  # turning, scaling and shifting change nothing
    centred, other = x - x.mean(0), rng.normal(size=(40, 3))
    other -= other.mean(0)
    slow = np.linalg.norm(other.T @ centred) ** 2  # Kornblith et al. 2019, eq. 2, on features instead of pictures
    slow /= np.linalg.norm(centred.T @ centred) * np.linalg.norm(other.T @ other)
    assert linear_cka(x, other) == pytest.approx(slow)
    assert np.isnan(linear_cka(x, np.ones((40, 2))))
    with pytest.raises(DataError, match="at least 3"):
        linear_cka(x[:2], x[:2])


@pytest.mark.slow
def test_other_back_ends_agree() -> None:
    found = compare_backends(Probe(network()), PICTURES[:3])
    assert found
    for comparison in found.values():
        assert comparison.worst().relative < 1e-4
