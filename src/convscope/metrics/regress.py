"""How far predicted numbers lie from the true ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from convscope.metrics.intervals import bootstrap, scored_mean
from convscope.records.prediction import Predictions, Scored, Scores


def r2_per_column(truth: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(k,) share of the variance explained, 1 - squared errors / squared deviations from the mean.

    A column of equal truths gives 1 when it is met exactly, else 0, as scikit-learn has it.
    """
    errors = np.sum((truth - values) ** 2, axis=0)
    spread = np.sum((truth - truth.mean(axis=0)) ** 2, axis=0)
    flat = np.where(errors == 0, 1.0, 0.0)
    return np.where(spread > 0, 1 - np.divide(errors, spread, out=np.zeros_like(errors), where=spread > 0), flat)


def _resampled(n: int, score: Callable[[np.ndarray], float]) -> Scored:
    value = score(np.arange(n))
    if n < 2:
        return Scored(value, n=n, method="one picture, no interval")
    low, high = bootstrap(n, score)
    return Scored(value, min(low, value), max(high, value), n, "bootstrap over pictures")


def score_regress(predictions: Predictions) -> Scores:
    """Scores of predicted numbers in the units of the truth; means over the columns; headline R2.

    `majority` is 0: always saying the mean has an R2 of 0.
    """
    truth = np.asarray(predictions.truth, np.float64).reshape(len(predictions.keys), -1)
    found = np.asarray(predictions.scores, np.float64)
    n = len(truth)
    gaps = found - truth
    values = {
        "mean_absolute_error": scored_mean(
            np.abs(gaps).mean(axis=1), method="t interval over pictures", limits=(0.0, np.inf)
        ),
        "rmse": _resampled(n, lambda i: float(np.sqrt((gaps[i] ** 2).mean(axis=0)).mean())),
        "r2": _resampled(n, lambda i: float(r2_per_column(truth[i], found[i]).mean())),
    }
    columns = r2_per_column(truth, found)
    per_class = {
        name: {
            "mean_absolute_error": float(np.abs(gaps[:, c]).mean()),
            "rmse": float(np.sqrt((gaps[:, c] ** 2).mean())),
            "r2": float(columns[c]),
            "support": float(n),
        }
        for c, name in enumerate(predictions.classes)
    }
    return Scores(
        task="regress",
        classes=predictions.classes,
        n=n,
        headline="r2",
        values=values,
        per_class=per_class,
        majority=0.0,
    )
