"""Regression scores against scikit-learn."""

import json

import numpy as np
import pytest
from sklearn import metrics as oracle

from convscope.metrics.score import score_predictions
from convscope.records.prediction import Predictions


@pytest.mark.parametrize("columns", [1, 3])
def test_equal_to_scikit_learn(columns):
    rng = np.random.default_rng(5)
    truth = rng.normal(10, 4, (60, columns))
    found = truth + rng.normal(0.5, 1, truth.shape)
    scores = score_predictions(
        Predictions(tuple(map(str, range(60))), found, "regress", tuple("abc")[:columns], truth)
    ).values
    assert scores["mean_absolute_error"].value == pytest.approx(oracle.mean_absolute_error(truth, found))
    assert scores["rmse"].value == pytest.approx(oracle.root_mean_squared_error(truth, found))
    assert scores["r2"].value == pytest.approx(oracle.r2_score(truth, found))
    assert all(s.low < s.value < s.high for s in scores.values())


def test_equal_truths_and_one_picture_give_numbers_not_nan():
    for n in (1, 4):
        p = Predictions(tuple(map(str, range(n))), np.full((n, 1), 2.0), "regress", ("size",), np.full((n, 1), 3.0))
        found = score_predictions(p)
        assert found.values["r2"].value == 0.0
        json.dumps(found.as_dict(), allow_nan=False)
