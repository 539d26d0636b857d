"""Intervals: against scipy, and by simulation that they hold the truth as often as they say."""

import numpy as np
import pytest
from scipy import stats

from convscope.errors import DataError
from convscope.metrics.classify import macro_f1
from convscope.metrics.intervals import bootstrap, fold_interval, mean_of_shares, scored_mean, scored_share, wilson
from convscope.metrics.ranking import roc_auc, roc_auc_interval


@pytest.mark.parametrize(("right", "n"), [(0, 5), (5, 5), (52, 60), (1, 400), (399, 400)])
def test_wilson_equals_scipy(right, n):
    expected = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert wilson(right, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_one_share_is_wilson_itself():
    value, low, high = mean_of_shares(np.array([17]), np.array([20]))
    assert (value, low, high) == pytest.approx((0.85, *wilson(17, 20)))


@pytest.mark.parametrize(
    ("rates", "counts"),
    [
        ((0.95, 0.9), (20, 60)),
        ((0.6, 0.85), (200, 300)),
        ((0.9,) * 10, (6,) * 10),
        ((0.5, 0.99), (10, 1000)),
        ((0.9, 0.99), (8, 300)),
        ((0.97,) * 10, (30,) * 10),
    ],
)
def test_balanced_accuracy_interval_holds_the_truth(rates, counts):
    rng = np.random.default_rng(0)
    found = [mean_of_shares(rng.binomial(counts, rates), np.array(counts)) for _ in range(2000)]
    held = np.mean([low <= np.mean(rates) <= high for _, low, high in found])
    assert held >= 0.92
    assert np.mean([high - low for _, low, high in found]) < 0.35


@pytest.mark.parametrize(("shift", "yes", "no"), [(1.0, 20, 60), (3.5, 20, 20), (1.5, 100, 300)])
def test_roc_auc_interval_holds_the_truth(shift, yes, no):
    rng, truth = np.random.default_rng(1), np.arange(yes + no) < yes
    true_area, held = stats.norm.cdf(shift / np.sqrt(2)), []
    for _ in range(400):
        area = roc_auc(truth, rng.normal(size=yes + no) + shift * truth)
        low, high = roc_auc_interval(area, yes, no)
        held.append(low <= true_area <= high)
    assert np.mean(held) >= 0.92


@pytest.mark.parametrize(
    ("rates", "counts"), [(np.array([[0.9, 0.1], [0.2, 0.8]]), (30, 30)), (np.eye(5) * 0.8 + 0.04, (10,) * 5)]
)
def test_macro_f1_interval_holds_the_truth(rates, counts):
    rng = np.random.default_rng(2)
    mean_counts = rates * np.array(counts)[:, None]
    truth = np.mean(2 * np.diag(mean_counts) / (mean_counts.sum(0) + mean_counts.sum(1)))
    held = []
    for _ in range(200):
        found = macro_f1(np.array([rng.multinomial(n, p) for n, p in zip(counts, rates)]))
        held.append(found.low <= truth <= found.high)
    assert np.mean(held) >= 0.90


def test_bootstrap_of_a_mean_is_near_the_normal_interval_and_repeats():
    x = np.random.default_rng(3).normal(5, 2, 400)
    low, high = bootstrap(400, lambda i: float(x[i].mean()), seed=1)
    assert (low, high) == pytest.approx((x.mean() - 1.96 * 0.1, x.mean() + 1.96 * 0.1), abs=0.03)
    assert (low, high) == bootstrap(400, lambda i: float(x[i].mean()), seed=1)
    strata = np.arange(400) < 7
    seen = []
    bootstrap(400, lambda i: seen.append(int(strata[i].sum())) or 0.0, strata=strata)
    assert set(seen) == {7}


def test_an_interval_ends_where_the_number_can_be():
    found = scored_mean(np.array([0.0, 0.0, 0.0, 0.4]), limits=(0.0, 2.0))
    assert found.low == 0 and found.high == pytest.approx(scored_mean(np.array([0.0, 0.0, 0.0, 0.4])).high)
    assert scored_mean(np.array([0.0, 0.0, 0.0, 0.4])).low < 0  # or this tests nothing
    assert fold_interval([1.0, 1.0, 0.9], limits=(0.0, 1.0)).high == 1


def test_fold_interval_equals_scipys_t():
    values = [0.81, 0.86, 0.79, 0.88, 0.84]
    found = fold_interval(values)
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.n == 5
    assert fold_interval([0.5]).low is None


def test_nothing_to_score_is_refused():
    for call in (lambda: scored_share(0, 0), lambda: scored_mean(np.zeros(0)), lambda: mean_of_shares([0], [0])):
        with pytest.raises(DataError, match="expected at least one"):
            call()
