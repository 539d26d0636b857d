"""Schedules against literal formulas; optimizers and the learning-rate search."""

import math

import keras
import numpy as np
import pytest

from convscope.training.compiling import make_optimizer
from convscope.training.feed import Feed
from convscope.training.lr_finder import find_rate, suggest
from convscope.training.plan import Plan
from convscope.training.schedule import CurveSchedule, curve_for, learning_rate
from convscope.training.weights import read_variables

pytestmark = pytest.mark.backend


def values(plan, epochs=10, steps=10):
    schedule = learning_rate(curve_for(plan, 0.1, epochs, steps), uses_plateau=False)
    assert isinstance(schedule, CurveSchedule)
    again = CurveSchedule.from_config(schedule.get_config())
    found = [float(schedule(i)) for i in range(epochs * steps)]
    np.testing.assert_allclose(found, [float(again(i)) for i in range(epochs * steps)])
    return np.array(found)


def test_cosine_with_warm_up():
    found = values(Plan(schedule="cosine", warmup_epochs=1, final_share=0.1))
    for i, rate in enumerate(found):
        share = (i + 1) / 11 if i < 10 else 0.1 + 0.9 * (1 + math.cos(math.pi * (i - 10) / 90)) / 2
        assert rate == pytest.approx(0.1 * share, rel=1e-5)


def test_step():
    found = values(Plan(schedule="step", step_epochs=4, step_factor=0.5))
    np.testing.assert_allclose(found, [0.1 * 0.5 ** (i // 40) for i in range(100)], rtol=1e-5)


def test_one_cycle_rises_for_thirty_percent_then_falls():
    found = values(Plan(schedule="one-cycle"))
    assert found[0] == pytest.approx(0.1 / 25) and found.argmax() == 30 and found[30] == pytest.approx(0.1)
    assert (np.diff(found[:31]) > 0).all() and (np.diff(found[30:]) < 0).all() and found[-1] < 1e-3


def test_a_constant_rate_is_a_plain_number():
    assert learning_rate(curve_for(Plan(), 0.1, 3, 3), uses_plateau=False) == 0.1


@pytest.mark.parametrize("name", ["adam", "SGD", "adamw", "rmsprop", "lion", "nadam", "adagrad"])
def test_optimizers_by_name(name):
    optimizer = make_optimizer(Plan(optimizer=name, weight_decay=0.01, clipnorm=1.0, momentum=0.5), 0.1)
    assert type(optimizer).__name__.lower() == name.lower() and optimizer.weight_decay == 0.01
    assert name != "SGD" or optimizer.momentum == 0.5


class _Batches(Feed):
    def __init__(self, batches):
        self._batches = batches

    @property
    def num_batches(self):
        return len(self._batches)

    def __getitem__(self, i):
        return self._batches[i]


def test_the_search_ends_where_a_quadratic_would_and_changes_nothing():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 32, 8)).astype(np.float32)
    y = x @ rng.normal(size=(8, 1)).astype(np.float32)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.123), "mse")
    before = read_variables(model.variables)
    curve = find_rate(model, _Batches(list(zip(x, y))), highest=10.0)
    for mine, other in zip(read_variables(model.variables), before, strict=True):
        np.testing.assert_array_equal(mine, other)
    assert float(np.asarray(read_variables([model.optimizer.learning_rate])[0])) == pytest.approx(0.123)
    # gradient descent on mean squares diverges beyond 1 / largest eigenvalue of the inputs' covariance
    limit = 1 / np.linalg.eigvalsh(np.cov(x.reshape(-1, 8).T)).max()
    assert curve.suggestion is not None and 0.003 < curve.suggestion < limit
    assert max(curve.rates) < 10.0 and list(curve.rates) == sorted(curve.rates)


def test_a_loss_that_never_falls_gives_no_suggestion():
    assert suggest([1e-4 * 2**i for i in range(12)], [1.0 + i for i in range(12)]) is None
