"""Predictions with their truth -> Scores, by task."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from convscope.errors import DataError
from convscope.metrics.classify import score_classify
from convscope.metrics.multilabel import score_multilabel
from convscope.metrics.regress import score_regress
from convscope.records.prediction import Predictions, Scores
from convscope.records.samples import Task

_BY_TASK: dict[Task, Callable[[Predictions], Scores]] = {
    "classify": score_classify,
    "multilabel": score_multilabel,
    "regress": score_regress,
}


def _check(predictions: Predictions) -> None:
    truth, scores, n = predictions.truth, np.asarray(predictions.scores), len(predictions.keys)
    if truth is None:
        raise DataError("expected predictions with their truth to score, got none; give labelled pictures")
    if n == 0:
        raise DataError("expected at least one picture to score, got none")
    if scores.shape != (n, len(predictions.classes)) or len(truth) != n:
        raise DataError(
            f"expected scores of shape ({n}, {len(predictions.classes)}) and {n} truths, "
            f"got {scores.shape} and {len(truth)}"
        )
    if not np.isfinite(scores).all():
        worst = predictions.keys[int(np.flatnonzero(~np.isfinite(scores).all(axis=1))[0])]
        raise DataError(f"expected finite scores, got NaN or infinity for {worst}; the network has diverged")
    if predictions.task == "classify" and not (np.min(truth) >= 0 and np.max(truth) < len(predictions.classes)):
        raise DataError(
            f"expected class numbers 0 to {len(predictions.classes) - 1}, got {np.min(truth)} to {np.max(truth)}"
        )


def score_predictions(predictions: Predictions) -> Scores:
    """Score predictions against their truth, each number with its interval where there is one.

    Raises:
        DataError: no truth, no picture, shapes that do not fit, or scores that are not finite.
    """
    _check(predictions)
    return _BY_TASK[predictions.task](predictions)


def majority_baseline(truth: np.ndarray) -> float:
    """Accuracy of always saying the most frequent class; `truth` is (n,) class index."""
    counts = np.bincount(np.asarray(truth, np.int64))
    return float(counts.max() / counts.sum())
