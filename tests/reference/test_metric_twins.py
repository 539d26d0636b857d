"""Slow twins, written after the definitions, of the fast metrics."""

import numpy as np
import pytest

from convscope.metrics.calibrate import expected_calibration_error
from convscope.metrics.ranking import average_precision, roc_auc, sensitivity_at_specificity


def slow_auc(truth, scores):
    """Hanley and McNeil 1982: the chance that a random yes scores above a random no."""
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a in scores[truth] for b in scores[~truth]]
    return sum(wins) / len(wins)


def slow_average_precision(truth, scores):
    """The sum over thresholds of precision times the recall gained there."""
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        called = scores >= threshold
        recall = truth[called].sum() / truth.sum()
        total += (recall - before) * truth[called].mean()
        before = recall
    return total


def slow_sensitivity(truth, scores, specificity):
    """The best share of yes found over all thresholds that leave enough of no alone."""
    best = 0.0
    for threshold in [*set(scores), np.inf]:
        if np.mean(scores[~truth] < threshold) >= specificity:
            best = max(best, np.mean(scores[truth] >= threshold))
    return best


def slow_calibration_error(confidence, right):
    """Guo et al. 2017, eq. 3, bin by bin; bins are (0, 0.1], (0.1, 0.2] ..."""
    total = 0.0
    for b in range(10):
        inside = (confidence > b / 10) & (confidence <= (b + 1) / 10)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


@pytest.mark.parametrize("seed", range(6))
def test_twins_agree(seed):
    rng = np.random.default_rng(seed)
    truth = rng.random(40) < 0.4
    scores = np.round(rng.random(40) * 0.9 + 0.05 * truth, 2 if seed % 2 else 1)
    assert roc_auc(truth, scores) == pytest.approx(slow_auc(truth, scores))
    assert average_precision(truth, scores) == pytest.approx(slow_average_precision(truth, scores))
    for specificity in (0.5, 0.9, 1.0):
        assert sensitivity_at_specificity(truth, scores, specificity=specificity) == pytest.approx(
            slow_sensitivity(truth, scores, specificity)
        )
    confidence = rng.uniform(0.01, 1, 60)
    right = rng.random(60) < confidence
    assert expected_calibration_error(confidence, right) == pytest.approx(slow_calibration_error(confidence, right))
