"""Fields, embeddings, films and comparisons that show themselves; what their drawings say is what was measured."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import keras
import numpy as np
import pytest
from keras import layers as L

from convscope.errors import ModelError, PlanError, UnknownLayerError
from convscope.scope.drawn import filter_film
from convscope.scope.feed import as_feed
from convscope.scope.front import Scope

pytestmark = pytest.mark.backend

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(24, 16, 16, 3)).astype("float32")


def network(seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    inputs = L.Input((16, 16, 3))
    x = L.Conv2D(6, 3, activation="relu", name="conv")(inputs)
    return keras.Model(inputs, L.Dense(3, activation="softmax", name="head")(L.GlobalAveragePooling2D(name="gap")(x)))


@pytest.fixture(scope="module")
def scope() -> Scope:
    return Scope(network())


def svg(html: str) -> ElementTree.Element:
    found = re.search(r"<svg.*?</svg>", html, re.S)
    assert found
    return ElementTree.fromstring(found.group())


def test_comparison_has_a_chart_and_a_table(scope: Scope) -> None:
    other = network()
    kernel = other.get_layer("conv").kernel
    kernel.assign(kernel + 0.01)
    found = scope.compare(other, IMAGES[:5])
    html = found._repr_html_()
    drawing = svg(html)
    names = [t.text for t in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert {"conv", "gap", "head"} <= set(names) and "<table" in html
    assert found.worst().layer in drawing.attrib["aria-label"]
    same = scope.compare(network(), IMAGES[:5])
    assert all(r.largest == 0 for r in same.rows)
    assert sum(t.text == "the same" for t in svg(same._repr_html_()).iter("{http://www.w3.org/2000/svg}text")) == len(
        same.rows
    )


def test_effective_field_says_its_box(scope: Scope) -> None:
    field = scope.effective_field("conv", IMAGES[:4], at=(5, 7), channel=2)
    (top, bottom), (left, right) = field.box
    # a 3x3 kernel without padding: value (5, 7) sees rows 5..7 and columns 7..9
    assert 5 <= top <= bottom <= 7 and 7 <= left <= right <= 9
    assert f"{top}..{bottom}" in str(field)
    label = svg(field._repr_html_()).attrib["aria-label"]
    assert f"{top}..{bottom} × {left}..{right}" in label and "channel 2" in label


def test_embedding_separates_what_the_layer_separates(scope: Scope) -> None:
    truth = np.arange(24) % 2
    images = IMAGES + 8 * truth[:, None, None, None].astype("float32")
    found = scope.embedding(images, "gap", truth=truth)
    first = found.points[:, 0]
    low, high = sorted((first[truth == 0], first[truth == 1]), key=np.mean)
    assert low.max() < high.min()
    assert found.kept is not None and 0.5 < found.kept <= 1
    values = scope.probe.activations(images, "gap")["gap"].astype(np.float64)
    spectrum = np.linalg.eigvalsh(np.cov(values.T, bias=True))[::-1]
    assert found.kept == pytest.approx(spectrum[:2].sum() / spectrum.sum(), rel=1e-5)
    drawing = svg(found._repr_html_())
    marks = drawing.findall("{http://www.w3.org/2000/svg}g")
    assert len(marks) == 24 and "24 pictures" in drawing.attrib["aria-label"]
    with pytest.raises(UnknownLayerError, match="gap"):
        scope.embedding(images, "gapp")
    with pytest.raises(PlanError, match="at least 3"):
        scope.embedding(images[:2], "gap")


def test_embedding_names_the_picture_with_nan() -> None:
    inputs = L.Input((16, 16, 3))
    scope = Scope(keras.Model(inputs, L.GlobalAveragePooling2D(name="gap")(inputs)))
    images = IMAGES.copy()
    images[17, 3, 3, 0] = np.nan
    with pytest.raises(ModelError, match="in layer 'gap' for array/000017"):
        scope.embedding(images, "gap")


def test_film_shows_every_epoch() -> None:
    kernels = [RNG.normal(size=(3, 3, 3, 4)).astype("float32") for _ in range(5)]
    film = filter_film([{"conv": [k]} for k in kernels], "conv", 2)
    assert film.epochs == (0, 1, 2, 3, 4)
    heads = [t.text for t in svg(film._repr_html_()).iter("{http://www.w3.org/2000/svg}text")]
    assert "start" in heads and "epoch 4" in heads
    moved = np.linalg.norm(kernels[-1][..., 2] - kernels[0][..., 2]) / np.linalg.norm(kernels[0][..., 2])
    assert f"{moved:.2f}" in str(film)
    with pytest.raises(PlanError, match="from 0 to 3, got 4"):
        filter_film([{"conv": [k]} for k in kernels], "conv", 4)


def test_top_activations_run_each_picture_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scope = Scope(network(), batch_size=8)
    seen: list[int] = []
    stream = scope.probe.stream

    def counted(images: np.ndarray, *rest: object, **options: object) -> object:
        seen.append(len(images))
        return stream(images, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(scope.probe, "stream", counted)
    found = scope.top_activations(as_feed(IMAGES), "conv", 1, count=3)
    assert seen == [8, 8, 8]
    peaks = network()  # the same weights
    values = Scope(peaks).probe.activations(IMAGES, "conv")["conv"][..., 1].reshape(24, -1).max(axis=1)
    assert [f.index for f in found.most] == np.argsort(-values, kind="stable")[:3].tolist()
    for fired in found.most:
        assert fired.box is not None and fired.crop is not None
        (top, bottom), (left, right) = fired.box
        np.testing.assert_array_equal(fired.crop, IMAGES[fired.index, top : bottom + 1, left : right + 1])
    assert found._repr_html_().count("<image") == 6


def test_crops_of_a_channels_first_model() -> None:
    keras.utils.set_random_seed(0)
    inputs = L.Input((3, 16, 16))
    x = L.Conv2D(4, 3, data_format="channels_first", name="conv")(inputs)
    scope = Scope(keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D(data_format="channels_first")(x))))
    images = np.moveaxis(IMAGES, -1, 1).copy()
    fired = scope.top_activations(as_feed(images), "conv", 0, count=1).most[0]
    assert fired.box is not None and fired.crop is not None
    (top, bottom), (left, right) = fired.box
    np.testing.assert_array_equal(fired.crop, images[fired.index, :, top : bottom + 1, left : right + 1])
