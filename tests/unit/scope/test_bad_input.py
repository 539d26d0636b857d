"""What a person may get wrong with the scope: each answer is one line that names the place and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L

from convscope.cli.app import run
from convscope.errors import ModelError, UnknownLayerError
from convscope.scope.front import Scope
from convscope.scope.store import Keeping

pytestmark = pytest.mark.backend

IMAGES = np.random.default_rng(0).normal(size=(4, 12, 12, 3)).astype("float32")


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = L.Input((12, 12, 3))
    shared = L.Conv2D(3, 3, padding="same", name="shared")
    x = L.Conv2D(4, 3, name="block2_conv1")(shared(shared(inputs)))
    return keras.Model(inputs, L.Dense(2, name="head")(L.GlobalAveragePooling2D()(x)))


class WithSpare(keras.Model):
    """A model with a layer that it never calls."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.spare = L.Dense(2, name="used"), L.Dense(2, name="spare")

    def call(self, inputs: object) -> object:
        return self.used(inputs)


def test_unknown_layers_and_call_numbers_name_the_nearest() -> None:
    scope = Scope(network())
    with pytest.raises(UnknownLayerError, match="block2_conv1"):
        scope.feature_maps(IMAGES, "block2_conv")
    with pytest.raises(UnknownLayerError, match=r"has 2 calls \(#0 is the first\), got call number 2"):
        scope.feature_maps(IMAGES, "shared#2")
    with pytest.raises(UnknownLayerError, match="block2_conv1"):
        scope.arithmetic(IMAGES[0], "blok2_conv1", at=(1, 1), channel=0)
    with pytest.raises(UnknownLayerError, match="block2_conv1"):
        scope.receptive_field("blok2_conv1")
    with pytest.raises(UnknownLayerError, match="block2_conv1"):
        scope.top_activations(IMAGES, "blok2_conv1", 0)


@pytest.mark.filterwarnings("ignore:.build\\(\\). was called on layer:UserWarning")
def test_a_layer_that_was_never_called() -> None:
    scope = Scope(WithSpare())
    with pytest.raises(UnknownLayerError, match=r"spare.*never called"):
        scope.feature_maps(np.zeros((2, 5), np.float32), "spare")


def test_models_that_are_none_and_models_without_weights() -> None:
    with pytest.raises(ModelError, match="expected a Keras model, got dict"):
        Scope({"weights": 1})
    with pytest.raises(ModelError, match=r"no weights yet; pass pictures or call model\.build"):
        Scope(keras.Sequential([L.Conv2D(2, 3)])).layers()


def test_shapes_that_do_not_fit() -> None:
    scope = Scope(network())
    with pytest.raises(ModelError, match=r"expected pictures of shape \(n, 12, 12, 3\), got \(4, 9, 12, 3\)"):
        scope.feature_maps(IMAGES[:, :9], "head")
    with pytest.raises(ModelError, match=r"add a batch axis"):
        scope.feature_maps(IMAGES[0], "head")
    with pytest.raises(ModelError, match="expected a value inside"):
        scope.arithmetic(IMAGES[0], "block2_conv1", at=(10, 0), channel=0)


def test_nan_in_maps_names_layer_and_picture() -> None:
    images = IMAGES.copy()
    images[2, 5, 5, 1] = np.nan
    with pytest.raises(ModelError, match="NaN or infinity in layer 'shared' for picture 2"):
        Scope(network()).feature_maps(images, "shared", rank_by="activation")


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_nan_is_named_in_whole_data_sets_and_nothing_is_lost(tmp_path: Path, dtype: Any) -> None:
    pytest.importorskip("numcodecs")
    images, scope, words = IMAGES.copy(), Scope(network()), "NaN.*'block2_conv1'.*array/000003"
    images[3, 5, 5, 1] = np.nan
    looks = [
        lambda: scope.store(images, tmp_path / "maps", "block2_conv1", keeping=Keeping(dtype=dtype)),
        lambda: scope.top_activations(images, "block2_conv1", 0),
        lambda: scope.filters("block2_conv1", images),
    ]
    for look in looks:
        with pytest.raises(ModelError, match=words):
            look()
    images[3, 5, 5, 1] = 1e6  # mended: the store goes on, and in float16 a large value saturates
    assert scope.store(images, tmp_path / "maps", "block2_conv1", keeping=Keeping(dtype=dtype)).is_complete


def test_the_same_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.keras"
    network().save(path)

    def refused(*argv: str) -> str:
        assert run(list(argv)) == 2
        said = capsys.readouterr().err
        assert "Traceback" not in said and len(said.strip().splitlines()) == 1, said
        return said

    assert "block2_conv1" in refused("field", str(path), "blok2_conv1")
    assert "expected pictures for --out" in refused("field", str(path), "head", "--out", str(tmp_path / "f.html"))
    assert "no picture" in refused("compare", str(path), str(path))
    assert "no such run" in refused("layers", str(tmp_path / "nothing"))
    damaged = tmp_path / "damaged.keras"
    damaged.write_bytes(path.read_bytes()[:500])
    assert "damaged.keras" in refused("layers", str(damaged))
