"""How right yes-or-no answers to k questions per picture are."""

from __future__ import annotations

import numpy as np

from convscope.metrics.calibrate import expected_calibration_error, reliability_bins
from convscope.metrics.classify import mean_areas
from convscope.metrics.intervals import bootstrap, scored_mean, scored_share
from convscope.records.prediction import Predictions, Scored, Scores

YES_FROM = 0.5


def label_f1(truth: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """(k,) F1 of each column of (n, k) bool; 0 where a label is neither there nor answered, as scikit-learn has it."""
    right = np.sum(truth & answers, axis=0)
    both = truth.sum(axis=0) + answers.sum(axis=0)
    return np.divide(2.0 * right, both, out=np.zeros(truth.shape[1]), where=both > 0)


def _per_class(
    truth: np.ndarray, answers: np.ndarray, classes: tuple[str, ...], areas: list[dict[str, float]]
) -> dict[str, dict[str, float]]:
    f1 = label_f1(truth, answers)
    table: dict[str, dict[str, float]] = {}
    for c, name in enumerate(classes):
        support, answered = int(truth[:, c].sum()), int(answers[:, c].sum())
        right = int(np.sum(truth[:, c] & answers[:, c]))
        row = {"support": float(support), "f1": float(f1[c]), **areas[c]}
        if answered:
            row["precision"] = right / answered
        if support:
            row["recall"] = right / support
        table[name] = row
    return table


def score_multilabel(predictions: Predictions) -> Scores:
    """Scores of a multi-label network; yes from probability 0.5; headline mean average precision over the labels.

    A label that is always or never there has no area and is left out of the means.
    """
    probabilities = np.asarray(predictions.scores, np.float64)
    truth = np.asarray(predictions.truth) >= YES_FROM
    answers = probabilities >= YES_FROM
    n = len(truth)
    means, areas = mean_areas(truth, probabilities)
    confidence, right = np.maximum(probabilities, 1 - probabilities), answers == truth
    f1 = float(label_f1(truth, answers).mean())
    low, high = bootstrap(n, lambda i: float(label_f1(truth[i], answers[i]).mean()))
    calibration = expected_calibration_error(confidence.ravel(), right.ravel())
    values = {
        "exact_match": scored_share(int(right.all(axis=1).sum()), n),
        "label_accuracy": scored_mean(right.mean(axis=1), method="t interval over pictures", limits=(0.0, 1.0)),
        "macro_f1": Scored(f1, min(low, f1), max(high, f1), n, "bootstrap over pictures"),
        "expected_calibration_error": Scored(calibration, n=n, method="10 bins over all labels, no interval"),
    }
    if means:
        values |= {"mean_average_precision": means["pr_auc"], "roc_auc": means["roc_auc"]}
    shares = truth.mean(axis=0)
    has_area = (shares > 0) & (shares < 1)
    return Scores(
        task="multilabel",
        classes=predictions.classes,
        n=n,
        headline="mean_average_precision" if means else "exact_match",
        values=values,
        per_class=_per_class(truth, answers, predictions.classes, areas),
        reliability=reliability_bins(confidence.ravel(), right.ravel()),
        majority=float(shares[has_area].mean()) if means else None,
    )
