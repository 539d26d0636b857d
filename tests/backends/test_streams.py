"""Streams of maps: two runs at a time and weights as constants change no value, and new weights are seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convscope.backend.selection import load_keras
from convscope.scope import tap
from convscope.scope.tap import Probe

pytestmark = pytest.mark.backend
PICTURES = np.random.default_rng(0).normal(size=(23, 12, 12, 3)).astype("float32")


def network() -> Any:
    keras = load_keras()
    keras.utils.set_random_seed(0)
    inputs = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(x)))


def maps(probe: Probe) -> np.ndarray:
    place = probe.place("norm")
    return np.concatenate([seen.values[place] for seen in probe.stream(PICTURES, (place,))])


def test_a_long_stream_gives_the_values_of_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    short = maps(Probe(model, batch_size=23))
    probe = Probe(model, batch_size=4)
    monkeypatch.setattr(tap, "LONG_S", 0.0)
    np.testing.assert_allclose(maps(probe), short, rtol=1e-5, atol=1e-5)
    norm = model.get_layer("norm")
    norm.moving_mean.assign(norm.moving_mean + 1.0)  # constants of before would give the old values
    shifted = maps(probe)
    np.testing.assert_allclose(shifted, maps(Probe(model, batch_size=23)), rtol=1e-5, atol=1e-5)
    assert np.abs(shifted - short).min() > 0.9


def test_batches_of_any_size_are_padded_and_cut_again() -> None:
    probe = Probe(network(), batch_size=8)
    place = probe.place("conv")
    cuts = [slice(0, 6), slice(6, 8), slice(8, 15), slice(15, 23)]
    seen = list(probe.each((PICTURES[cut] for cut in cuts), (place,), count=4))
    assert [len(s.values[place]) for s in seen] == [6, 2, 7, 8]
    whole = probe.activations(PICTURES, "conv")["conv"]
    np.testing.assert_allclose(np.concatenate([s.values[place] for s in seen]), whole, rtol=1e-5, atol=1e-5)
    assert list(probe.each(iter(()), (place,), count=0)) == []


def test_half_precision_overflows_to_infinity() -> None:
    keras = load_keras()
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Rescaling(1e6, name="grow")(inputs))
    probe = Probe(model)
    place = probe.place("grow")
    (seen,) = probe.each(iter([np.array([[1, -1, 0, 1e-3]], "float32")]), (place,), count=1, half=True)
    assert seen.values[place].dtype == np.float16
    np.testing.assert_array_equal(seen.values[place][0], np.array([np.inf, -np.inf, 0, 1000], np.float16))


def test_a_fixed_batch_size_is_kept_and_gives_halves_too() -> None:
    keras = load_keras()
    inputs = keras.Input(batch_shape=(2, 4))
    probe = Probe(keras.Model(inputs, keras.layers.Rescaling(1e6, name="grow")(inputs)))
    place = probe.place("grow")
    pictures = np.arange(20, dtype="float32").reshape(5, 4)
    (seen,) = probe.each(iter([pictures]), (place,), count=1, half=True)
    assert seen.values[place].shape == (5, 4) and seen.values[place].dtype == np.float16
    assert np.isinf(seen.values[place][1:]).all() and seen.values[place][0, 0] == 0


def test_pictures_of_other_sizes_are_read_in_their_own() -> None:
    keras = load_keras()
    inputs = keras.Input((None, None, 1))
    x = keras.layers.MaxPooling2D(2, name="pool")(inputs)
    probe = Probe(keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x)))
    place = probe.place("pool")
    pictures = [np.full((1, side, side + 2, 1), side, "float32") for side in (4, 8, 6)]
    seen = list(probe.each(iter(pictures), (place,), count=3, abreast=False))
    assert [s.values[place].shape[1:3] for s in seen] == [(2, 3), (4, 5), (3, 4)]
    assert [float(s.outputs[0][0, 0]) for s in seen] == [4.0, 8.0, 6.0]
