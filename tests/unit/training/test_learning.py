"""While it learns: a healthy network is left alone, a vanishing one is named with its layer, steps are measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convscope
from convscope.files.journal import read_journal
from convscope.scope.learning import filter_strip

pytestmark = pytest.mark.backend


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(64) % 2
    x = rng.random((64, 12, 12, 1)).astype(np.float32) * 0.3
    x[y == 1, 4:8] += 0.6
    return x, y


def network(activation: str, depth: int, kernel: Any = "glorot_uniform") -> Any:
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    hidden = [layers.Conv2D(6, 3, padding="same", activation=activation, kernel_initializer=kernel, name=f"conv{i}")
              for i in range(depth)]  # fmt: skip
    model = keras.Sequential([
        keras.Input((12, 12, 1)),
        *hidden,
        layers.GlobalAveragePooling2D(),
        layers.Dense(2, activation="softmax", name="dense"),
    ])  # fmt: skip
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    return model


def watched(model: Any, folder: Path | None = None) -> Any:
    x, y = data()
    watch = convscope.callbacks.Learning(x[:16], y[:16], folder=folder, filters=("conv0",))
    model.fit(x, y, batch_size=16, epochs=2, verbose=0, shuffle=False, callbacks=[watch])
    return watch


def test_a_healthy_network_is_left_alone_and_its_filters_are_kept(tmp_path: Path) -> None:
    model = network("relu", 2, "he_normal")
    watch = watched(model, tmp_path)
    assert watch.said == [(), ()]
    strip = filter_strip(watch.snapshots, "conv0", 3)
    assert strip.shape == (3, 3, 3, 1)  # before training, after each of two epochs
    from convscope.backend.tensors import to_numpy

    np.testing.assert_array_equal(strip[-1], to_numpy(model.get_layer("conv0").kernel.value)[..., 3])
    assert np.abs(strip[0] - strip[1]).max() > 0
    assert sorted(p.name for p in (tmp_path / "filters").iterdir()) == [f"epoch-000{i}.npz" for i in range(3)]
    events = [e for e in read_journal(tmp_path) if e["event"] == "layers"]
    assert [e["epoch"] for e in events] == [1, 2]
    assert {layer["layer"] for layer in events[0]["layers"]} == {"conv0", "conv1", "dense"}


def test_one_step_is_measured_as_it_was() -> None:
    """The update ratio of a step of plain SGD is rate x |gradient| / |weights|."""
    import keras

    from convscope.backend.tensors import to_numpy

    x, y = data()
    model = network("relu", 1, "he_normal")
    start = [w.copy() for w in model.get_weights()]
    watch = convscope.callbacks.Learning(x[:16], y[:16])
    model.fit(x[:16], y[:16], batch_size=16, epochs=1, verbose=0, callbacks=[watch])
    moved = [to_numpy(keras.ops.convert_to_tensor(w)) - s for w, s in zip(model.get_weights(), start, strict=True)]
    expected = np.sqrt(sum((m**2).sum() for m in moved[:2]) / sum((w**2).sum() for w in model.get_weights()[:2]))
    assert watch.states[0][0].layer == "conv0"
    assert watch.states[0][0].update_ratio == pytest.approx(expected, rel=1e-3)


def test_vanishing_gradients_are_said_with_the_layer() -> None:
    said = " ".join(watched(network("sigmoid", 9)).said[0])
    assert "vanishing: the gradient at conv0" in said


@pytest.mark.parametrize(("momentum", "is_judged"), [(0.99, False), (0.0, True)])
def test_gradients_wait_for_batch_normalisation(momentum: float, is_judged: bool) -> None:
    """With running statistics of a network that has hardly begun, even a healthy one would seem to vanish."""
    import keras

    layers = keras.layers
    model = keras.Sequential([
        keras.Input((12, 12, 1)),
        layers.Conv2D(4, 3, name="conv"),
        layers.BatchNormalization(momentum=momentum),
        layers.GlobalAveragePooling2D(),
        layers.Dense(2, activation="softmax", name="dense"),
    ])  # fmt: skip
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    x, y = data()
    watch = convscope.callbacks.Learning(x[:16], y[:16])
    model.fit(x, y, batch_size=8, epochs=1, verbose=0, callbacks=[watch])
    assert all((s.gradient_norm is not None) == is_judged for s in watch.states[0])
