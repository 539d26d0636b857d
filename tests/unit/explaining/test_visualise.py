"""Grown pictures fire what they are grown for."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers as L

from contract.explained import fixed_weights, pictures, small_net
from convscope.backend.tensors import to_numpy
from convscope.errors import ModelError, PlanError, UnknownLayerError
from convscope.explaining.growing import Ascent, Held, Shake, affine_matrix
from convscope.explaining.visualise import channel_pictures, class_pictures, deep_dream

pytestmark = pytest.mark.backend
QUICK = Ascent(steps=24, rate=0.2, low=-1.0, high=1.0, jitter=1, scaling=0, rotation=0)


@pytest.mark.parametrize("holding", ["fourier", "pixels"])
def test_class_picture_raises_its_logit(holding: str) -> None:
    """Far above what random pictures reach, within the range of values."""
    model = small_net(activation="linear")
    how = Ascent(steps=60, rate=0.3, low=-1.0, high=1.0, jitter=1, holding=holding)
    grown = class_pictures(model, [0, 2], ascent=how)
    assert grown.pictures.shape == (2, 16, 16, 3) and np.abs(grown.pictures).max() <= 1
    logits = to_numpy(model(grown.pictures))
    random = to_numpy(model(np.clip(pictures(16), -1, 1)))
    assert logits[0, 0] > random[:, 0].max() and logits[1, 2] > random[:, 2].max()
    assert (grown.history[-1] > grown.history[0]).all() and grown.words == ("class 0", "class 2")


@pytest.mark.parametrize("channels, order", [(1, "channels_last"), (5, "channels_last"), (3, "channels_first")])
def test_channels_of_a_layer_for_any_input(channels: int, order: str) -> None:
    """A sheet for the whole layer: 1, 3 and 5 channels, small inputs; each picture fires its own channel most."""
    shape = (channels, 10, 12) if order == "channels_first" else (10, 12, channels)
    inputs = L.Input(shape)
    conv = L.Conv2D(3, 3, use_bias=False, data_format=order, name="conv")
    x = L.GlobalAveragePooling2D(data_format=order)(conv(inputs))
    model = fixed_weights(keras.Model(inputs, L.Dense(2)(x)))
    grown = channel_pictures(model, "conv", ascent=QUICK)
    assert grown.pictures.shape == (3, 10, 12, channels) and grown.words[1] == "conv channel 1"
    images = np.moveaxis(grown.pictures, -1, 1) if order == "channels_first" else grown.pictures
    maps = to_numpy(conv(images))
    means = maps.mean(axis=(2, 3) if order == "channels_first" else (1, 2))
    assert (means.diagonal() > 0).all() and (means.argmax(axis=0) == np.arange(3)).all()


def test_unit_and_diversity() -> None:
    """A unit's picture changes only inside its field; diverse copies differ more."""
    model = small_net()
    how = Ascent(steps=8, rate=0.2, low=-1.0, high=1.0, jitter=0, holding="pixels", scaling=0, rotation=0)
    unit = channel_pictures(model, "early", [1], unit=(8, 8), ascent=how).pictures[0]
    outside = np.ones((16, 16), bool)
    outside[7:10, 7:10] = False
    assert np.abs(unit[outside]).max() < 0.05 < np.abs(unit[~outside]).max()
    alike = [
        channel_pictures(model, "late", [1], copies=2, ascent=Ascent(16, 0.2, "pixels", 0, 0.0, d, -1.0, 1.0)).pictures
        for d in (0.0, 50.0)
    ]
    corr = [np.corrcoef(p[0].ravel(), p[1].ravel())[0, 1] for p in alike]
    assert corr[1] < corr[0]


def test_deep_dream_strengthens_a_layer() -> None:
    """From a real beginning, which it still resembles."""
    model, images = small_net(), np.clip(pictures(2), -0.9, 0.9)
    how = Ascent(steps=6, rate=0.05, low=-1.0, high=1.0, jitter=1, holding="pixels")
    grown = deep_dream(model, images, "late", ascent=how)
    assert (grown.history[-1] > grown.history[0]).all()
    assert np.corrcoef(grown.pictures.ravel(), images.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("size", [(8, 8, 3), (7, 9, 1)])
@pytest.mark.parametrize("holding", ["fourier", "pixels"])
def test_gradient_of_the_held_numbers(size: tuple[int, int, int], holding: str) -> None:
    """The hand-written backward pass against small steps."""
    held = Held(1, size, Ascent(holding=holding, low=-2.0, high=3.0), None)
    rng = np.random.default_rng(0)
    held.numbers = rng.normal(size=held.numbers.shape)
    weights = rng.normal(size=(1, *size))
    held.pictures()
    found = held.back(weights)
    for _ in range(12):
        place = tuple(rng.integers(0, d) for d in held.numbers.shape)
        kept = held.numbers[place]
        ends = []
        for step in (1e-3, -1e-3):
            held.numbers[place] = kept + step
            ends.append(float((held.pictures().astype(np.float64) * weights).sum()))
        held.numbers[place] = kept
        held.pictures()
        assert found[place] == pytest.approx((ends[0] - ends[1]) / 2e-3, abs=2e-3)


def test_shaking_is_linear_and_its_way_back_is_the_transpose() -> None:
    """<shaken x, y> = <x, back y> for the part that depends on x; the grey border comes in where nothing is."""
    how = Ascent(low=0.0, high=2.0, jitter=3, scaling=0.2, rotation=30, pad=2)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 2, 9, 12, 3))
    shake = Shake((9, 12), how, np.random.default_rng(4))
    moved = shake(x) - shake(np.zeros_like(x))
    assert (moved * y).sum() == pytest.approx((x * shake.back(y)).sum(), rel=1e-4)
    assert np.abs(shake(np.ones_like(x)) - 1).max() < 1e-5  # grey is 1 here: a grey picture stays grey


def test_affine_moves_are_what_they_say() -> None:
    """A quarter turn is NumPy's, a whole shift a roll without its wrapped part, twice the size a crop of the middle."""
    picture = np.arange(25.0)

    def moved(scale: float, angle: float, shift: tuple[float, float]) -> np.ndarray:
        return (affine_matrix((5, 5), scale, angle, shift) @ picture).reshape(5, 5)

    grid = picture.reshape(5, 5)
    assert any(np.allclose(moved(1, np.pi / 2, (0, 0)), np.rot90(grid, k)) for k in (1, 3))
    np.testing.assert_allclose(moved(1, 0, (1, 0))[1:], grid[:-1])
    assert (moved(1, 0, (1, 0))[0] == 0).all()
    np.testing.assert_allclose(moved(2, 0, (0, 0))[::2, ::2], grid[1:4, 1:4])


def test_bad_input() -> None:
    """Channel, unit, layer, holding, size."""
    model = small_net()
    with pytest.raises(PlanError, match="channels from 0 to 5"):
        channel_pictures(model, "late", [9])
    with pytest.raises(PlanError, match="unit"):
        channel_pictures(model, "late", [0], unit=(40, 0))
    with pytest.raises(UnknownLayerError, match="did you mean late"):
        channel_pictures(model, "lat")
    with pytest.raises(PlanError, match="did you mean fourier"):
        Ascent(holding="furier")
    with pytest.raises(PlanError, match="rotation of 0 to 180"):
        Ascent(rotation=-3)
    with pytest.raises(ModelError, match="known size"):
        class_pictures(keras.Sequential([L.Input((None, None, 3)), L.GlobalAveragePooling2D(), L.Dense(2)]), [0])
