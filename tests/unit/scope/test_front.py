"""The scope as a person uses it: pictures from files, results that show themselves."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers as L
from PIL import Image

from convscope.errors import ModelError, PictureError, UnknownLayerError
from convscope.records.card import Card, Opened
from convscope.records.geometry import Preprocess
from convscope.scope.front import Scope
from convscope.scope.maps import channel_statistics

pytestmark = pytest.mark.backend

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(1)
    inputs = L.Input((16, 16, 3))
    x = L.Conv2D(5, 3, activation="relu", name="conv")(L.Rescaling(1 / 255, name="scale")(inputs))
    return keras.Model(inputs, L.Dense(2, activation="softmax", name="head")(L.GlobalAveragePooling2D(name="gap")(x)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cat.png"
    Image.fromarray(RNG.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(path)
    return path


def opened(model: keras.Model) -> Opened:
    return Opened(model, Card("classify", ("cat", "dog"), Preprocess(16, 16), "small", feature_layer="conv"))


def test_files_and_pil_pictures_through_the_saved_preprocessing(model: keras.Model, file: Path) -> None:
    scope = Scope(opened(model))
    pixels = np.asarray(Image.open(file), np.float32)[None]
    (by_path,) = scope.feature_maps(str(file), "conv")
    (by_picture,) = scope.feature_maps(Image.open(file), "conv")
    (by_array,) = scope.feature_maps(pixels, "conv")
    np.testing.assert_allclose(by_path.maps, by_array.maps, atol=1e-4)
    np.testing.assert_array_equal(by_path.maps, by_picture.maps)
    assert by_path.labels == ("cat.png",) and by_path.targets[0].label in ("cat", "dog")
    with pytest.raises(PictureError):
        scope.feature_maps(str(file.with_name("dog.png")), "conv")


def test_files_need_a_preprocessing(model: keras.Model, file: Path) -> None:
    with pytest.raises(ModelError, match=r"Scope\(model, preprocess=f\)"):
        Scope(model).feature_maps(file, "conv")
    own = Scope(model, preprocess=lambda path: np.asarray(Image.open(path), np.float32))
    assert own.feature_maps([file, file], "conv")[0].maps.shape == (2, 14, 14, 5)
    sizes = iter([(16, 16, 3), (15, 16, 3)])
    uneven = Scope(model, preprocess=lambda path: np.zeros(next(sizes)))
    with pytest.raises(ModelError, match="one size"):
        uneven.feature_maps([file, file], "conv")


def test_results_show_themselves(model: keras.Model) -> None:
    scope, images = Scope(opened(model)), RNG.uniform(0, 255, (4, 16, 16, 3)).astype("float32")
    table = scope.layers()
    assert "conv" in str(table) and "<table" in table._repr_html_()
    row = next(r for r in table.rows if r[0] == "conv")
    assert row[:6] == ("conv", "Conv2D", "14x14x5", "3x3", "1x1", "3x3") and row[6] == "140"
    maps = scope.feature_maps(images, ["conv", "scale"])
    assert "<svg" in maps._repr_html_() and str(maps).startswith("conv (Conv2D)")
    assert "<svg" in scope.filters("conv")._repr_html_() and "5 filters" in str(scope.filters("conv"))
    report = scope.filters("conv", images, truth=np.array([0, 1, 0, 1]))
    assert "silencing costs most" in str(report) and "<pre" in report._repr_html_()
    assert report.units.n == 4 and len(report.silenced.drops) == 5


def test_the_rest_of_the_listing(model: keras.Model, tmp_path: Path) -> None:
    scope, images = Scope(opened(model)), RNG.uniform(0, 255, (4, 16, 16, 3)).astype("float32")
    value = scope.arithmetic(images[0], "conv", at=(3, 2), channel=1)
    shown = scope.probe.activations(images[:1], "conv")["conv"][0, 3, 2, 1]
    assert value.computed == pytest.approx(shown, abs=1e-6)
    assert scope.receptive_field("conv", at=(0, 0)).box == ((0, 2), (0, 2))
    assert scope.receptive_field("conv", images=images) is not None
    assert len(scope.top_activations(images, "conv", 2, count=2).most) == 2
    store = scope.store(images, tmp_path / "maps.zarr", "conv")
    np.testing.assert_allclose(store.picture("conv", 1), scope.probe.activations(images, "conv")["conv"][1], atol=2e-3)
    same = scope.compare(model, images)
    assert same.worst().largest == 0


def test_statistics_of_every_channel(model: keras.Model) -> None:
    images = RNG.uniform(0, 255, (3, 16, 16, 3)).astype("float32")
    maps = Scope(model).feature_maps(images, ["scale", "conv"], rank_by="activation")
    layer = maps[-1].layer
    found, values = channel_statistics(maps[-1].maps), maps[-1].maps.astype(np.float64)
    for c in range(values.shape[-1]):
        one = values[..., c].ravel()
        root = np.sqrt(one.size)
        two = np.sqrt((one**2).sum())
        hoyer = (root - np.abs(one).sum() / two) / (root - 1) if two else 0  # Hoyer 2004, section 3.1
        expected = (one.mean(), one.max(), np.mean(one == 0), hoyer)
        got = (found.mean[c], found.maximum[c], found.zeros[c], found.sparsity[c])
        np.testing.assert_allclose(got, expected, atol=1e-5)
    shown = maps.statistics(layer)
    assert len(shown.rows) == values.shape[-1] and layer in shown.title
    with pytest.raises(UnknownLayerError, match=layer):
        maps.statistics(layer + "x")


def test_relevance_against_a_baseline(model: keras.Model) -> None:
    scope, images = Scope(model), RNG.uniform(0, 255, (2, 16, 16, 3)).astype("float32")
    (zero,) = scope.feature_maps(images, "conv", target=1)
    (mean,) = scope.feature_maps(images, "conv", target=1, baseline="mean")
    (other,) = scope.feature_maps(images, "conv", target=1, baseline=images)
    weights = scope.model.get_layer("head").weights[0].numpy()[:, 1] if keras.backend.backend() != "torch" else None
    assert np.abs(zero.importance).max() > 0
    np.testing.assert_allclose(
        mean.importance, 0, atol=1e-4
    )  # after global pooling the gradient is the same everywhere
    np.testing.assert_allclose(other.importance, 0, atol=1e-6)
    if weights is not None:
        np.testing.assert_allclose(zero.importance, zero.maps.mean(axis=(1, 2)) * weights, rtol=1e-3, atol=1e-5)


def test_not_a_number_is_named(model: keras.Model) -> None:
    images = np.zeros((2, 16, 16, 3), "float32")
    images[1, 0, 0, 0] = np.nan
    with pytest.raises(ModelError, match="layer 'scale' for picture 1"):
        Scope(model).feature_maps(images, "scale", rank_by="activation")
