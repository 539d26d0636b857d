from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convscope.errors import BundleError, StorageError

pytestmark = [
    pytest.mark.backend,
    # TensorFlow 2.21 says it of itself under NumPy 2 whenever Keras saves a variable
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]


def sequential() -> Any:
    import keras

    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
            keras.layers.BatchNormalization(),
            keras.layers.MaxPooling2D(2),
            keras.layers.Dropout(0.3),
            keras.layers.Flatten(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )


def nested() -> Any:
    """An inner model used twice, an inner Sequential with a layer of the same name, an operation without a layer."""
    import keras

    inner_input = keras.Input((8, 8, 3))
    inner = keras.Model(inner_input, keras.layers.Conv2D(3, 3, padding="same", name="conv")(inner_input), name="inner")
    tail = keras.Sequential([keras.layers.Conv2D(2, 1, name="conv"), keras.layers.GlobalMaxPooling2D()], name="tail")
    pixels = keras.Input((8, 8, 3))
    x = inner(inner(pixels)) + pixels
    return keras.Model(pixels, keras.layers.Dense(2)(tail(keras.ops.relu(x))))


def two_outputs() -> Any:
    import keras

    pixels = keras.Input((8, 8, 3))
    x = keras.layers.SeparableConv2D(4, 3, activation="gelu")(pixels)
    x = keras.layers.LayerNormalization()(x)
    features = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(pixels, [keras.layers.Dense(1)(features), keras.layers.Dense(3)(features)])


def shuffled(model: Any) -> Any:
    """Weights that no initialiser would give, moving statistics included."""
    rng = np.random.default_rng(11)
    model.set_weights([rng.uniform(0.1, 1, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


@pytest.mark.parametrize("make", [sequential, nested, two_outputs])
def test_a_users_own_model_opens_bit_identically(
    make: Callable[[], Any], tmp_path: Path, card: Any, batch: np.ndarray
) -> None:
    import keras

    from convscope.bundle.keras_file import open_keras, save_keras
    from convscope.bundle.opening import open_bundle
    from convscope.bundle.saving import save_bundle

    model = shuffled(make())
    save_bundle(tmp_path / "model.cvs", model, card)
    save_keras(tmp_path / "model.keras", model)
    expected = [np.asarray(v) for v in keras.tree.flatten(model.predict(batch, verbose=0))]
    bundle, file = open_bundle(tmp_path / "model.cvs"), open_keras(tmp_path / "model.keras")
    plain = keras.saving.load_model(tmp_path / "model.keras")
    for opened in (bundle.model, file.model, plain):
        got = [np.asarray(v) for v in keras.tree.flatten(opened.predict(batch, verbose=0))]
        assert [float(np.abs(a - b).max()) for a, b in zip(got, expected)] == [0.0] * len(expected)
    assert bundle.card == card and file.card is None


def test_a_network_of_the_catalogue_opens_bit_identically(tmp_path: Path, card: Any) -> None:
    import keras

    from convscope.bundle.keras_file import open_keras, save_keras
    from convscope.bundle.opening import open_bundle
    from convscope.bundle.saving import save_bundle
    from convscope.models.network import build_network, feature_extractor, freeze_backbone, head_of

    network = build_network(
        "mobilenet-v3-small", outputs=3, output_activation="softmax", weights="none", input_hw=(32, 32), channels=1
    )
    freeze_backbone(network)
    feature_extractor(network), head_of(network)  # further uses of the same layers leave no trace in the file
    x = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 1)).astype(np.float32)
    expected = network.model.predict(x, verbose=0)
    save_bundle(tmp_path / "model.cvs", network.model, card)
    save_keras(tmp_path / "model.keras", network.model)
    for model in (
        open_bundle(tmp_path / "model.cvs").model,
        open_keras(tmp_path / "model.keras").model,
        keras.saving.load_model(tmp_path / "model.keras"),
    ):
        assert np.array_equal(model.predict(x, verbose=0), expected)


def test_a_compiled_and_fitted_model_opens_without_its_compile_settings(tmp_path: Path, batch: np.ndarray) -> None:
    from convscope.bundle.keras_file import open_keras, save_keras

    model = sequential()
    model.compile("adam", "categorical_crossentropy")
    model.fit(batch, np.eye(2, dtype=np.float32)[[0, 1, 0, 1]], verbose=0)
    save_keras(tmp_path / "m.keras", model)
    opened = open_keras(tmp_path / "m.keras").model
    assert not opened.compiled
    assert np.array_equal(opened.predict(batch, verbose=0), model.predict(batch, verbose=0))


def test_scores_that_could_not_be_computed_become_null(tmp_path: Path, card: Any) -> None:
    from convscope.bundle.opening import open_bundle
    from convscope.bundle.saving import save_bundle

    odd = replace(card, scores={"auc": float("nan"), "f1": np.float32(0.5), "per_class": (1, 2)})
    save_bundle(tmp_path / "m.cvs", sequential(), odd)
    assert open_bundle(tmp_path / "m.cvs").card.scores == {"auc": None, "f1": 0.5, "per_class": [1, 2]}


def test_classes_that_are_not_keras_own_are_named(tmp_path: Path, card: Any) -> None:
    import keras

    from convscope.bundle.saving import save_bundle

    class Doubling(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return 2 * x

    class MyModel(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.dense(x)

    subclassed = MyModel()
    subclassed(np.zeros((1, 3), np.float32))
    pixels = keras.Input((3,))
    for model, word in (
        (keras.Model(pixels, Doubling()(pixels)), "Doubling"),
        (subclassed, "MyModel"),
        (keras.Model(pixels, keras.layers.Lambda(lambda x: x * 2)(pixels)), "Lambda"),
        (keras.Sequential([keras.layers.Dense(2)]), "input shape"),
    ):
        with pytest.raises(BundleError, match=word) as caught:
            save_bundle(tmp_path / "m.cvs", model, card)
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_model_with_nan_is_not_saved_and_the_older_bundle_stays(tmp_path: Path, card: Any) -> None:
    from convscope.bundle.opening import open_bundle
    from convscope.bundle.saving import save_bundle

    model = sequential()
    save_bundle(tmp_path / "m.cvs", model, card)
    before = (tmp_path / "m.cvs" / "weights.safetensors").read_bytes()
    weights = model.get_weights()
    weights[0][0, 0, 0, 0] = np.nan
    model.set_weights(weights)
    with pytest.raises(BundleError, match="conv/kernel holds NaN"):
        save_bundle(tmp_path / "m.cvs", model, card)
    assert (tmp_path / "m.cvs" / "weights.safetensors").read_bytes() == before
    open_bundle(tmp_path / "m.cvs")
    assert [p.name for p in tmp_path.iterdir()] == ["m.cvs"]


@pytest.mark.slow
def test_a_full_disk_leaves_the_older_file_whole(tmp_path: Path) -> None:
    """RLIMIT_FSIZE in a child stands for a full disk."""
    script = (
        "import resource, signal, sys, pathlib, numpy as np, keras\n"
        "from convscope.bundle.keras_file import save_keras\n"
        "from convscope.errors import StorageError\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "model = keras.Sequential([keras.Input((600,)), keras.layers.Dense(600)])\n"
        "save_keras(path, model)\n"
        "before = path.read_bytes()\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, -1))\n"
        "try:\n    save_keras(path, model)\n"
        "except StorageError as error:\n    print('refused', error)\n"
        "assert path.read_bytes() == before\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "m.keras")], capture_output=True, text=True, timeout=300
    )
    assert "refused can't write" in done.stdout, done.stderr[-2000:]
    assert [p.name for p in tmp_path.iterdir()] == ["m.keras"]


def test_an_unwritable_place_is_named(tmp_path: Path, card: Any) -> None:
    from convscope.bundle.saving import save_bundle

    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="file"):
        save_bundle(tmp_path / "file" / "m.cvs", sequential(), card)


@pytest.mark.slow
def test_a_bundle_opens_on_the_other_back_ends(tmp_path: Path, card: Any, batch: np.ndarray) -> None:
    import importlib.util

    import keras

    from convscope.bundle.saving import save_bundle

    model = shuffled(nested())
    save_bundle(tmp_path / "m.cvs", model, card)
    np.save(tmp_path / "x.npy", batch)
    expected = model.predict(batch, verbose=0)
    script = (
        "import sys, json, numpy as np\n"
        "from convscope.bundle.opening import open_bundle\n"
        "o = open_bundle(sys.argv[1])\n"
        "print('OUT' + json.dumps(o.model.predict(np.load(sys.argv[2]), verbose=0).tolist()))\n"
    )
    others = [b for b in ("tensorflow", "jax", "torch") if b != keras.backend.backend() and importlib.util.find_spec(b)]
    for other in others:
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "m.cvs"), str(tmp_path / "x.npy")],
            capture_output=True,
            text=True,
            env={**os.environ, "KERAS_BACKEND": other},
            timeout=300,
        )
        line = next((row for row in done.stdout.splitlines() if row.startswith("OUT")), None)
        assert line, done.stderr[-2000:]
        np.testing.assert_allclose(np.asarray(json.loads(line[3:])), expected, rtol=2e-5)
