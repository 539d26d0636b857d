"""Whole data sets, and trainings that are watched."""

from __future__ import annotations

import itertools
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers as L

from convscope.actions.film import film_of
from convscope.errors import DataError, PlanError
from convscope.explaining.survey import Portion, survey
from convscope.explaining.watching import heat_look, read_glances
from convscope.training.callbacks import Watch

pytestmark = pytest.mark.backend


def spots(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bright squares at the left (class 0) or right (class 1), with the square as mask."""
    rng = np.random.default_rng(seed)
    images = rng.normal(0, 0.05, (n, 16, 16, 1)).astype("float32")
    truth, masks = np.arange(n) % 2, np.zeros((n, 16, 16), bool)
    for i in range(n):
        left = 2 if truth[i] == 0 else 9
        images[i, 5:11, left : left + 5] += 1
        masks[i, 5:11, left : left + 5] = True
    return images, truth, masks


def reader(corner: bool = False) -> keras.Model:
    """Compares left with right; with `corner` it reads two corner pixels instead."""
    inputs = L.Input((16, 16, 1))
    x = L.Conv2D(1, 1, use_bias=False, activation="relu", name="see")(inputs)
    model = keras.Model(inputs, L.Dense(2, activation="softmax", use_bias=False, name="say")(L.Flatten()(x)))
    weights = np.zeros((16, 16, 2))
    if corner:
        weights[0, 0, 0] = weights[0, 15, 1] = 8
    else:
        weights[:, :8, 0] = weights[:, 8:, 1] = 0.2
    model.get_layer("see").set_weights([np.ones((1, 1, 1, 1))])
    model.get_layer("say").set_weights([weights.reshape(256, 2)])
    return model


def test_right_for_the_wrong_reason_comes_first() -> None:
    """Five honest pictures, and one that a tell-tale corner pixel gives away."""
    images, truth, masks = spots(6)
    images[3, 0, 15] = 4
    images[3, 5:11] = 0.1 * images[3, 5:11]
    portions = [
        Portion(images[a:b], truth[a:b], tuple(f"p{i}" for i in range(a, b)), masks[a:b]) for a, b in ((0, 4), (4, 6))
    ]
    found = survey(reader(), portions, "gradient-x-input", classes=("left", "right"))
    assert all(c.is_right for c in found.cases) and found.cases[0].label == "p3" and not found.cases[0].hit
    assert [(g.truth, g.n) for g in found.groups] == [(0, 3), (1, 3)]
    cheat = survey(reader(corner=True), [Portion(images[3:4], truth[3:4], ("p3",), masks[3:4])], "gradient-x-input")
    assert cheat.cases[0].energy == pytest.approx(0, abs=1e-6) and "right for the wrong reason" in cheat.words[1]


def test_wrong_ones_are_last_and_border_counts_without_masks() -> None:
    """Truth turned round for one picture; no masks."""
    images, truth, _ = spots(4)
    truth = truth.copy()
    truth[2] = 1
    found = survey(reader(), [Portion(images, truth, ("a", "b", "c", "d"))], "gradient-x-input")
    assert found.cases[-1].label == "c" and not found.cases[-1].is_right
    assert "No masks" in found.words[1] and "3 of 4" in found.words[0]


def test_bad_input() -> None:
    """Nothing, and a truth that does not fit."""
    images, truth, _ = spots(2)
    with pytest.raises(PlanError, match="got none"):
        survey(reader(), [])
    with pytest.raises(PlanError, match="truth and a label"):
        survey(reader(), [Portion(images, truth[:1], ("a", "b"))], "saliency")


def test_watch_the_attention_move(tmp_path: Path) -> None:
    """After each epoch the heat of the network as it is then; the strip shows all of it."""
    keras.utils.set_random_seed(1)
    images, truth, _ = spots(8)
    model = keras.Sequential(
        [
            L.Input((16, 16, 1)),
            L.Conv2D(3, 3, padding="same", activation="relu", name="conv"),
            L.AveragePooling2D(4),
            L.Flatten(),
            L.Dense(2, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.optimizer.learning_rate = 0.3
    look = heat_look(target=[0, 1])
    watch = Watch(images[:2], folder=tmp_path, look=look)
    model.fit(images, truth, epochs=3, verbose=0, callbacks=[watch])
    pictures, glances = read_glances(tmp_path)
    np.testing.assert_array_equal(pictures, images[:2])
    assert [g.epoch for g in glances] == [0, 1, 2, 3]
    assert all((a.heat != b.heat).any() for a, b in itertools.pairwise(glances))
    np.testing.assert_allclose(glances[-1].heat, heat_look(target=[0, 1])(model, images[:2])["heat"], atol=1e-6)
    section = film_of(tmp_path, [0, 1], ["left", "right"], how="Grad-CAM of the truth")
    assert len(section.blocks) == 2 and len(section.blocks[0].tiles) == 1 + 4
    with pytest.raises(PlanError, match="truth of each of 2"):
        film_of(tmp_path, [0], ["left", "right"])
    with pytest.raises(DataError, match="expected epochs with heat"):
        read_glances(tmp_path / "none")
