"""Adam in one pass: Keras' numbers, state and file; only where it applies."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from convscope.backend.devices import is_tensorflow_on_cpu
from convscope.training.faster_updates import faster_updates

pytestmark = pytest.mark.backend


def trained(optimizer: keras.optimizers.Optimizer, *, is_faster: bool) -> keras.Model:
    """Five steps with a schedule, a decay or a clip, as the optimizer has them."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            keras.layers.Conv2D(3, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    model.compile(optimizer, "mse")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 6, 6, 2)).astype(np.float32), rng.normal(size=(40, 2)).astype(np.float32)
    if is_faster:
        with faster_updates(model) as helps:
            assert helps == is_tensorflow_on_cpu()
            model.fit(x, y, batch_size=8, epochs=1, verbose=0, shuffle=False)
        assert "update_step" not in vars(model.optimizer)
    else:
        model.fit(x, y, batch_size=8, epochs=1, verbose=0, shuffle=False)
    return model


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.optimizers.Adam(0.01),
        lambda: keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.05, 5), 0.8, 0.9, epsilon=1e-3),
        lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1, clipnorm=0.5, use_ema=True, ema_momentum=0.5),
    ],
    ids=["adam", "schedule", "adamw"],
)
def test_weights_and_moments_are_those_of_keras(make: object) -> None:
    mine, other = trained(make(), is_faster=True), trained(make(), is_faster=False)
    for here, there in zip(
        mine.variables + mine.optimizer.variables, other.variables + other.optimizer.variables, strict=True
    ):
        # one step moves a weight by about 0.01: a thousandth of that is rounding of gradients near zero
        np.testing.assert_allclose(here.numpy(), there.numpy(), rtol=1e-5, atol=1e-5)


def test_a_model_saved_inside_is_plain_and_goes_on(tmp_path: Path) -> None:
    model = trained(keras.optimizers.Adam(0.01), is_faster=True)
    with faster_updates(model):
        model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(again.optimizer, keras.optimizers.Adam)
    assert int(again.optimizer.iterations.numpy()) == 5
    x = np.ones((8, 6, 6, 2), np.float32)
    for one in (model, again):
        one.fit(x, np.zeros((8, 2), np.float32), batch_size=8, verbose=0)
    for here, there in zip(model.variables, again.variables, strict=True):
        np.testing.assert_allclose(here.numpy(), there.numpy(), rtol=1e-5, atol=1e-5)


def test_rows_that_changed_take_the_usual_way() -> None:
    """The gradient of an embedding is not a whole tensor."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Embedding(5, 2), keras.layers.Flatten(), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((3,)), *layers])
    model.compile("adam", "mse")
    before = model.layers[0].embeddings.numpy()
    with faster_updates(model):
        model.fit(np.array([[0, 1, 1]] * 4), np.ones((4, 1), np.float32), verbose=0)
    moved = np.abs(model.layers[0].embeddings.numpy() - before).max(axis=1)
    assert (moved[:2] > 1e-4).all()
    assert (moved[2:] == 0).all()


@pytest.mark.parametrize("make", [lambda: keras.optimizers.SGD(0.01), lambda: keras.optimizers.Adam(amsgrad=True)])
def test_other_optimizers_are_left_alone(make: object) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(make(), "mse")
    with faster_updates(model) as helps:
        assert not helps
        assert "update_step" not in vars(model.optimizer)
