"""Curves, areas and sensitivities against scikit-learn, with ties."""

import numpy as np
import pytest
from sklearn import metrics as oracle

from convscope.metrics.ranking import (
    average_precision,
    pr_curve,
    roc_auc,
    roc_auc_interval,
    roc_curve,
    sensitivity_at_specificity,
)


def made(seed, ties):
    rng = np.random.default_rng(seed)
    truth = rng.random(70) < 0.3
    scores = rng.normal(size=70) + truth
    return truth, np.round(scores) if ties else scores


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ties", [False, True])
def test_curves_and_areas(seed, ties):
    truth, scores = made(seed, ties)
    false_rate, true_rate, _ = oracle.roc_curve(truth, scores, drop_intermediate=False)
    np.testing.assert_allclose(roc_curve(truth, scores), (false_rate, true_rate))
    precision, recall, _ = oracle.precision_recall_curve(truth, scores)
    np.testing.assert_allclose(pr_curve(truth, scores), (recall[::-1], precision[::-1]))
    assert roc_auc(truth, scores) == pytest.approx(oracle.roc_auc_score(truth, scores))
    assert average_precision(truth, scores) == pytest.approx(oracle.average_precision_score(truth, scores))


def test_sensitivity_at_specificity_by_hand():
    truth = np.array([0] * 10 + [1] * 4, bool)
    scores = np.array([*range(10), 8.5, 9.5, 7.5, -1])
    # at 0.9 one of ten no may score above: threshold 8.5 or higher, and 8.5 and 9.5 are found
    assert sensitivity_at_specificity(truth, scores) == 0.5
    assert sensitivity_at_specificity(truth, scores, specificity=1.0) == 0.25
    assert sensitivity_at_specificity(truth, scores, specificity=0.8) == 0.75


def test_a_perfect_and_a_useless_area_keep_a_width():
    low, high = roc_auc_interval(1.0, 20, 20)
    assert 0.8 < low < 0.97 and high == 1.0
    low, high = roc_auc_interval(0.5, 20, 20)
    assert low == pytest.approx(1 - high, abs=1e-6) and low < 0.36
