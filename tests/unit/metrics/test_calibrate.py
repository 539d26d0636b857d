"""Calibration against scikit-learn, closed forms and planted temperatures."""

import numpy as np
import pytest
from scipy import special
from sklearn.calibration import calibration_curve

from convscope.errors import DataError
from convscope.metrics.calibrate import (
    apply_temperature,
    expected_calibration_error,
    fit_temperature,
    reliability_bins,
    unsure_threshold,
)


def test_bins_equal_scikit_learns_curve():
    rng = np.random.default_rng(0)
    p = rng.random(500)
    right = rng.random(500) < p
    found = reliability_bins(p, right, bins=7)
    true, mean = calibration_curve(right, p, n_bins=7)
    np.testing.assert_allclose(found["accuracy"], true)
    np.testing.assert_allclose(found["confidence"], mean)
    assert sum(found["count"]) == 500


def test_calibration_error_by_hand():
    # bin (0.7, 0.8]: 4 pictures at 0.8, 2 right: gap 0.3; bin (0.9, 1]: 1 picture at 1.0, right: gap 0
    found = expected_calibration_error(np.array([0.8, 0.8, 0.8, 0.8, 1.0]), np.array([1, 1, 0, 0, 1]))
    assert found == pytest.approx(0.8 * 0.3)


@pytest.mark.parametrize("planted", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("task", ["classify", "multilabel"])
def test_temperature_finds_what_was_planted(planted, task):
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (8000, 3))
    if task == "classify":
        truth = np.array([rng.choice(3, p=p) for p in special.softmax(logits, axis=1)])
        said = special.softmax(logits * planted, axis=1)
    else:
        truth = (rng.random(logits.shape) < special.expit(logits)).astype(float)
        said = special.expit(logits * planted)
    assert fit_temperature(said, truth, task=task) == pytest.approx(planted, rel=0.06)


def test_temperature_keeps_the_order_and_the_sum_and_one_changes_nothing():
    p = special.softmax(np.random.default_rng(2).normal(0, 3, (50, 4)), axis=1).astype(np.float32)
    hot = apply_temperature(p, 3.0)
    np.testing.assert_array_equal(hot.argsort(1), p.argsort(1))
    np.testing.assert_allclose(hot.sum(1), 1, rtol=1e-6)
    assert np.all(hot.max(1) < p.max(1))
    assert np.array_equal(apply_temperature(p, 1.0), p)
    assert np.array_equal(apply_temperature(p * 100, 3.0, task="regress"), p * 100)


def test_probabilities_of_exactly_zero_and_one_stay_finite():
    p = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    t = fit_temperature(p, np.array([0, 1, 1]))
    assert np.isfinite(t) and t > 1
    assert np.isfinite(apply_temperature(p, t)).all()


def test_all_right_gives_no_evidence_to_sharpen():
    assert fit_temperature(np.array([[0.6, 0.4], [0.3, 0.7]]), np.array([0, 1])) == 1.0


def test_unsure_threshold_follows_its_rule():
    p_top = np.array([0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6])
    p = np.stack([p_top, 1 - p_top], axis=1)
    truth = np.array([0, 0, 0, 0, 0, 1, 0, 1])  # wrong: 2 of 8; half of 25 % is reached by the first five or less
    assert unsure_threshold(p, truth) == 0.75
    assert unsure_threshold(p, np.zeros(8, int)) == 0.6
    assert unsure_threshold(p, np.array([1, 1, 0, 0, 0, 0, 0, 0])) == 0.0


def test_empty_input_is_refused():
    with pytest.raises(DataError, match="validation picture"):
        fit_temperature(np.zeros((0, 2)), np.zeros(0, int))
    with pytest.raises(DataError, match="above 0"):
        apply_temperature(np.full((1, 2), 0.5), 0.0)
