"""Do probabilities mean what they say: calibration error, Brier score, temperature and the unsure threshold."""

from __future__ import annotations

import numpy as np
from scipy import optimize, special

from convscope.errors import DataError
from convscope.records.samples import Task

BINS = 10
COLDEST, HOTTEST = 0.05, 20.0
TINY = 1e-7  # below float32's resolution next to 1, so no finite logit is cut


def reliability_bins(confidence: np.ndarray, right: np.ndarray, *, bins: int = BINS) -> dict[str, list[float]]:
    """Mean confidence, share right and count in `bins` equal steps of confidence; empty bins are left out.

    Args:
        confidence: (n,) probability of the answer given, 0..1.
        right: (n,) bool.
        bins: how many.

    Source: Niculescu-Mizil and Caruana 2005; bins closed above as in Guo et al. 2017.
    """
    confidence, right = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    used = count > 0
    return {
        "confidence": (np.bincount(place, confidence, bins)[used] / count[used]).tolist(),
        "accuracy": (np.bincount(place, right, bins)[used] / count[used]).tolist(),
        "count": count[used].astype(float).tolist(),
    }


def expected_calibration_error(confidence: np.ndarray, right: np.ndarray, *, bins: int = BINS) -> float:
    """Mean distance between confidence and share right over the bins, weighted by count; 0 is best.

    Source: Guo et al. 2017, eq. 3.
    """
    table = reliability_bins(confidence, right, bins=bins)
    count = np.asarray(table["count"])
    gap = np.abs(np.asarray(table["confidence"]) - np.asarray(table["accuracy"]))
    return float(np.sum(count * gap) / count.sum())


def brier_parts(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(n,) squared distance between the probabilities and the truth, summed over classes, halved for two classes.

    So the mean is scikit-learn's `brier_score_loss`: 0..1 for two classes, 0..2 for more. Source: Brier 1950.

    Args:
        probabilities: (n, k).
        truth: (n,) class index.
    """
    gaps = np.asarray(probabilities, np.float64) - np.eye(probabilities.shape[1])[truth]
    return np.sum(gaps**2, axis=1) / (2 if probabilities.shape[1] == 2 else 1)


def _clipped(probabilities: np.ndarray) -> np.ndarray:
    return np.clip(np.asarray(probabilities, np.float64), TINY, 1 - TINY)


def apply_temperature(probabilities: np.ndarray, temperature: float, *, task: Task = "classify") -> np.ndarray:
    """Divide the logits behind `probabilities` by `temperature` and return probabilities again, float32.

    Args:
        probabilities: (n, k); classify: rows that sum to 1; multilabel: each for itself; regress: returned as given.
        temperature: above 0; above 1 makes answers less sure; the order of the classes stays.
        task: what the numbers are.

    Source: Guo et al. 2017, section 4.2.
    """
    if temperature <= 0:
        raise DataError(f"expected a temperature above 0, got {temperature}")
    if temperature == 1 or task == "regress":
        return np.asarray(probabilities, np.float32)
    if task == "multilabel":
        return special.expit(special.logit(_clipped(probabilities)) / temperature).astype(np.float32)
    logs = np.log(np.maximum(np.asarray(probabilities, np.float64), TINY))
    return special.softmax(logs / temperature, axis=1).astype(np.float32)


def _loss(probabilities: np.ndarray, truth: np.ndarray, task: Task) -> float:
    p = _clipped(probabilities)
    if task == "multilabel":
        return float(-np.mean(truth * np.log(p) + (1 - truth) * np.log(1 - p)))
    return float(-np.mean(np.log(p[np.arange(len(p)), truth])))


def fit_temperature(probabilities: np.ndarray, truth: np.ndarray, *, task: Task = "classify") -> float:
    """The temperature with the lowest log loss on held-out (validation) pictures, between 0.05 and 20.

    Returns 1 when every picture is answered right, since then any sharpening lowers the loss without evidence.

    Args:
        probabilities: (n, k) with temperature 1.
        truth: classify (n,) class index; multilabel (n, k) of 0 and 1.
        task: what the numbers are; regress needs no temperature and gets 1.

    Source: Guo et al. 2017, section 4.2; minimised over its logarithm by Brent's method.
    """
    if not len(probabilities):
        raise DataError("expected at least one validation picture to fit the temperature, got none")
    if task == "regress":
        return 1.0
    answered = probabilities.argmax(axis=1) if task == "classify" else probabilities >= 0.5
    if np.all(answered == truth):
        return 1.0
    found = optimize.minimize_scalar(
        lambda log_t: _loss(apply_temperature(probabilities, float(np.exp(log_t)), task=task), truth, task),
        bounds=(np.log(COLDEST), np.log(HOTTEST)),
        method="bounded",
    )
    return float(np.exp(found.x))


def unsure_threshold(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Top probability below which an answer is called unsure, from held-out calibrated probabilities.

    Rule: the lowest threshold at which the answers kept are wrong at most half as often as all answers, while at
    least half of the answers are kept. No wrong answer: the lowest top probability seen (below it nothing was
    checked). No such threshold: 0, since then confidence does not tell right from wrong and nothing is hidden.

    Args:
        probabilities: (n, k), rows sum to 1.
        truth: (n,) class index.
    """
    if not len(probabilities):
        raise DataError("expected at least one validation picture to choose the threshold, got none")
    top = np.asarray(probabilities, np.float64).max(axis=1)
    wrong = probabilities.argmax(axis=1) != truth
    if not wrong.any():
        return float(top.min())
    order = np.argsort(-top, kind="stable")
    last = np.append(np.flatnonzero(np.diff(top[order])), len(top) - 1)
    kept = last + 1
    share_wrong = np.cumsum(wrong[order])[last] / kept
    good = (share_wrong <= wrong.mean() / 2) & (kept >= len(top) / 2)
    return float(top[order][last][good].min()) if good.any() else 0.0
