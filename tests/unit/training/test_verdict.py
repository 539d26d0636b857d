"""Verdicts on really trained runs with a planted fault, and on healthy ones, of which nothing bad is said.

Not marked for every back end: verdicts read numbers only, so the runs are trained once.
"""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from convscope.records.run import History
from convscope.training.plan import Plan
from convscope.training.verdict import verdicts


def trained(*, n=900, epochs=12, units=32, rate=3e-3, noise=0.0, seed=0, leak=False, flip=0.0, weight_decay=0.0):
    """Train a small dense network on handwritten digits; returns the history and the numbers of pictures."""
    rng = np.random.default_rng(seed)
    digits = load_digits()
    order = rng.permutation(len(digits.target))
    x, y = digits.data[order] / 16, digits.target[order]
    x = x + noise * rng.normal(size=x.shape)
    wrong = rng.random(len(y)) < flip
    y = np.where(wrong, rng.integers(0, 10, len(y)), y)
    if leak:
        x = np.concatenate([x, 8 * np.eye(10)[y]], axis=1)
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [keras.Input((x.shape[1],)), keras.layers.Dense(units, "relu"), keras.layers.Dense(10, "softmax")]
    )
    optimizer = keras.optimizers.Adam(rate, weight_decay=weight_decay or None)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    fitted = model.fit(x[:n], y[:n], validation_data=(x[n : n + 400], y[n : n + 400]), epochs=epochs, verbose=0)
    logs = fitted.history
    rows = tuple({"epoch": i + 1, "phase": "train", **{k: v[i] for k, v in logs.items()}} for i in range(epochs))
    return verdicts(History(rows), Plan(epochs=epochs), n_train=n, n_val=400, n_classes=10)


def kinds(found):
    return {v.kind for v in found}


def test_a_network_that_hardly_learns_is_under_fitting():
    found = trained(rate=1e-5, epochs=5)
    assert kinds(found) == {"under-fitting"}
    assert found[0].numbers["removed"] < 0.35 and f"{found[0].numbers['end_loss']:.3g}" in found[0].detail


def test_a_network_that_learns_wrong_labels_by_heart_is_over_fitting():
    assert kinds(trained(n=200, units=256, epochs=40, flip=0.3, rate=5e-3)) == {"over-fitting"}


@pytest.mark.parametrize("seed", [0, 1])
def test_a_hundred_times_the_learning_rate_is_too_high(seed):
    assert "learning-rate-too-high" in kinds(trained(rate=0.3, seed=seed))


def test_labels_in_the_pictures_are_suspected():
    found = trained(leak=True)
    assert "leak-suspected" in kinds(found)
    assert found[0].numbers["val_accuracy"] >= 0.985


@pytest.mark.parametrize(
    "options",
    [
        {"seed": 1},
        {"seed": 2, "units": 64, "epochs": 15},
        {"seed": 3, "n": 1200, "rate": 2e-3, "epochs": 16},
        {"seed": 4, "noise": 0.15, "epochs": 14, "weight_decay": 0.01},
        {"seed": 5, "n": 1300, "epochs": 10, "rate": 5e-3},
    ],
)
def test_of_healthy_runs_nothing_bad_is_said(options):
    assert kinds(trained(**options)) <= {"healthy", "not-yet-done"}


def rows(loss, val_loss=(), **columns):
    history = [{"epoch": i + 1, "phase": "train", "loss": v} for i, v in enumerate(loss)]
    for name, values in {"val_loss": val_loss, **columns}.items():
        for row, value in zip(history, values, strict=False):
            row[name] = value
    return History(tuple(history))


def test_a_loss_that_is_no_number():
    found = verdicts(rows([1.0, 0.5, float("nan")]), Plan(epochs=3), n_train=100, n_val=10)
    assert kinds(found) == {"diverged"} and found[0].numbers["finite_epochs"] == 2


def test_copies_across_the_split_are_said_with_their_number():
    found = verdicts(rows([1.0, 0.5, 0.4]), Plan(epochs=3), n_train=100, n_val=30, shared=7)
    assert found[0].kind == "leak-suspected" and "7 pictures" in found[0].detail


def test_few_pictures_are_said_besides():
    assert kinds(verdicts(rows([1.0, 0.5, 0.4]), Plan(epochs=3), n_train=20, n_val=5)) == {"healthy", "few-pictures"}


def test_a_run_that_still_gains_is_not_yet_done():
    loss = [2.3 * 0.9**i for i in range(12)]
    found = verdicts(rows(loss, loss), Plan(epochs=12), n_train=100, n_val=30, n_classes=10)
    assert kinds(found) == {"not-yet-done"}
    assert kinds(verdicts(rows(loss, loss), Plan(epochs=50), n_train=100, n_val=30, n_classes=10)) == {"healthy"}
