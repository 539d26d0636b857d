"""How right one answer out of k is: counts of right and wrong, per class and over all classes."""

from __future__ import annotations

import numpy as np

from convscope.metrics.calibrate import brier_parts, expected_calibration_error, reliability_bins
from convscope.metrics.intervals import bootstrap, mean_of_shares, scored_mean, scored_share, share_like, wilson
from convscope.metrics.ranking import (
    average_precision,
    average_precision_interval,
    is_defined,
    roc_auc,
    roc_auc_interval,
    sensitivity_at_specificity,
)
from convscope.records.prediction import Predictions, Scored, Scores

DRAWS = 2000
TOP = 5


def confusion_matrix(truth: np.ndarray, answers: np.ndarray, k: int) -> np.ndarray:
    """(k, k) int64 counts, row = truth, column = answer; both (n,) class index."""
    return np.bincount(np.asarray(truth) * k + np.asarray(answers), minlength=k * k).reshape(k, k).astype(np.int64)


def top_k_accuracy(probabilities: np.ndarray, truth: np.ndarray, k: int) -> float:
    """Share of pictures whose truth is among the k highest probabilities; of equals, the lower class index goes first.

    So top 1 is the accuracy of `argmax`, also with ties.
    """
    own = probabilities[np.arange(len(truth)), truth][:, None]
    earlier = np.arange(probabilities.shape[1])[None] < np.asarray(truth)[:, None]
    ahead = np.sum((probabilities > own) | ((probabilities == own) & earlier), axis=1)
    return float(np.mean(ahead < k))


def f1_per_class(confusion: np.ndarray) -> np.ndarray:
    """(..., k) F1 = 2 x right / (truths + answers) for confusion (..., k, k); NaN where a class is in neither."""
    right = np.diagonal(confusion, axis1=-2, axis2=-1).astype(np.float64)
    both = confusion.sum(-1) + confusion.sum(-2)
    return np.divide(2 * right, both, out=np.full(right.shape, np.nan), where=both > 0)


def macro_f1(confusion: np.ndarray, *, seed: int = 0) -> Scored:
    """Mean F1 over the classes that occur as truth or answer, with a 95 % interval.

    Its mean and variance come from 2,000 seeded draws (fewer above 100 classes) of each class's answer rates from
    their Dirichlet posterior (Goutte and Gaussier 2005), the prior weighing as much as one picture; from these the
    Wilson interval at the effective sample size. In the tests' simulations it holds the truth in 90 % or more.
    """
    k, n = len(confusion), int(confusion.sum())
    value = float(np.nanmean(f1_per_class(confusion)))
    chance = np.random.Generator(np.random.Philox(key=seed))
    draws = int(np.clip(20_000_000 // k**2, 100, DRAWS))
    drawn = np.zeros((draws, k, k))
    for row in np.flatnonzero(confusion.sum(axis=1)):
        drawn[:, row] = chance.dirichlet(confusion[row] + 1 / k, draws) * confusion[row].sum()
    used = (confusion.sum(0) + confusion.sum(1)) > 0
    means = f1_per_class(drawn)[:, used].mean(axis=1)
    low, high = share_like(value, mean=float(means.mean()), variance=float(means.var()))
    return Scored(value, low, high, n, "Wilson interval at the effective sample size, from Dirichlet draws")


def _areas(yes: np.ndarray, scores: np.ndarray) -> dict[str, tuple[float, float, float]]:
    """One class against the rest: name -> (value, low, high); empty where yes or no is missing."""
    if not is_defined(yes):
        return {}
    n_yes, n_no = int(yes.sum()), int((~yes).sum())
    roc, pr = roc_auc(yes, scores), average_precision(yes, scores)
    return {
        "roc_auc": (roc, *roc_auc_interval(roc, n_yes, n_no)),
        "pr_auc": (pr, *average_precision_interval(pr, n_yes)),
    }


def mean_areas(truth_yes: np.ndarray, scores: np.ndarray) -> tuple[dict[str, Scored], list[dict[str, float]]]:
    """ROC-AUC and PR-AUC of every column against the rest, and their means over the columns that have them.

    The ends of the single intervals are averaged: the columns depend on each other, and this is on the safe side.

    Args:
        truth_yes: (n, k) bool.
        scores: (n, k), higher means more yes.

    Returns:
        (means with intervals, one dict of areas per column)
    """
    single = [_areas(truth_yes[:, c], scores[:, c]) for c in range(truth_yes.shape[1])]
    defined = [s for s in single if s]
    means: dict[str, Scored] = {}
    for name, how in (("roc_auc", "Newcombe"), ("pr_auc", "Boyd, Wilson form")) if defined else ():
        value, low, high = np.mean([s[name] for s in defined], axis=0).tolist()
        means[name] = Scored(value, low, high, len(truth_yes), f"{how}, averaged over {len(defined)} classes")
    return means, [{name: area[0] for name, area in s.items()} for s in single]


def scored_sensitivity(yes: np.ndarray, scores: np.ndarray, label: str, *, specificity: float = 0.90) -> Scored:
    """Sensitivity for `label` at a specificity; the interval is the wider of bootstrap and Wilson on either side.

    The bootstrap knows that the threshold moves with the pictures, Wilson keeps a width where all are found.
    """
    value = sensitivity_at_specificity(yes, scores, specificity=specificity)
    low, high = bootstrap(
        len(yes), lambda i: sensitivity_at_specificity(yes[i], scores[i], specificity=specificity), strata=yes
    )
    n_yes = int(yes.sum())
    low_w, high_w = wilson(value * n_yes, n_yes)
    return Scored(
        value, min(low, low_w), max(high, high_w), n_yes, f"share of {label} found; wider of bootstrap and Wilson"
    )


def _per_class(
    confusion: np.ndarray, classes: tuple[str, ...], areas: list[dict[str, float]]
) -> dict[str, dict[str, float]]:
    f1 = f1_per_class(confusion)
    table: dict[str, dict[str, float]] = {}
    for c, name in enumerate(classes):
        support, answered, right = int(confusion[c].sum()), int(confusion[:, c].sum()), int(confusion[c, c])
        row = {"support": float(support), **areas[c]}
        if answered:
            row["precision"] = right / answered
        if support:
            row["recall"] = right / support
        if support or answered:
            row["f1"] = float(f1[c])
        table[name] = row
    return table


def _sure(predictions: Predictions, top: np.ndarray, right: np.ndarray) -> dict[str, Scored]:
    if predictions.unsure_below <= 0:
        return {}
    sure = top >= predictions.unsure_below
    found = {"unsure_share": scored_share(int((~sure).sum()), len(sure))}
    if sure.any():
        found["accuracy_when_sure"] = scored_share(int(right[sure].sum()), int(sure.sum()))
    return found


def score_classify(predictions: Predictions) -> Scores:
    """Scores of a classifier; a number that is undefined here (one class only) is left out, never NaN.

    `predictions.truth` must be there; use `metrics.score.score_predictions`, which checks.
    """
    probabilities, classes = np.asarray(predictions.scores, np.float64), predictions.classes
    truth = np.asarray(predictions.truth, np.int64)
    n, k = probabilities.shape
    answers, top = probabilities.argmax(axis=1), probabilities.max(axis=1)
    right = answers == truth
    confusion = confusion_matrix(truth, answers, k)
    balanced = mean_of_shares(np.diag(confusion), confusion.sum(axis=1))
    yes = np.eye(k, dtype=bool)[truth]
    means, areas = mean_areas(yes, probabilities)
    calibration = expected_calibration_error(top, right)
    values = {
        "accuracy": scored_share(int(right.sum()), n),
        "balanced_accuracy": Scored(*balanced, n, "Wilson interval at the effective sample size"),
        "macro_f1": macro_f1(confusion),
        **means,
        "expected_calibration_error": Scored(calibration, n=n, method="10 bins of the top probability, no interval"),
        "brier": scored_mean(brier_parts(probabilities, truth), limits=(0.0, 2.0)),
        **_sure(predictions, top, right),
    }
    if k > TOP:
        values[f"top_{TOP}_accuracy"] = scored_share(round(top_k_accuracy(probabilities, truth, TOP) * n), n)
    if k == 2 and is_defined(yes[:, 1]):
        values["sensitivity_at_90_specificity"] = scored_sensitivity(yes[:, 1], probabilities[:, 1], classes[1])
    return Scores(
        task="classify",
        classes=classes,
        n=n,
        headline="balanced_accuracy",
        values=values,
        per_class=_per_class(confusion, classes, areas),
        confusion=confusion,
        reliability=reliability_bins(top, right),
        majority=1 / int((confusion.sum(axis=1) > 0).sum()),
    )
