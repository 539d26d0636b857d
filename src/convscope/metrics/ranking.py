"""How well scores sort yes from no, whatever the threshold: ROC and precision-recall curves and their areas."""

from __future__ import annotations

import numpy as np
from scipy import optimize, stats

from convscope.metrics.intervals import Z, wilson


def steps(truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts of true and false positives at every threshold, from the highest score down.

    Args:
        truth: (n,) bool, True for yes.
        scores: (n,) higher means more yes; equal scores form one step.

    Returns:
        (true positives, false positives, thresholds), each (m,) with m the number of distinct scores.
    """
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    sorted_scores, sorted_truth = np.asarray(scores, np.float64)[order], np.asarray(truth, bool)[order]
    last = np.append(np.flatnonzero(np.diff(sorted_scores)), len(sorted_scores) - 1)
    positives = np.cumsum(sorted_truth)[last]
    return positives, last + 1 - positives, sorted_scores[last]


def is_defined(truth: np.ndarray) -> bool:
    """True when there are both yes and no, without which there is no curve."""
    return bool(np.any(truth)) and not bool(np.all(truth))


def roc_curve(truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(false positive rate, true positive rate) from (0, 0) to (1, 1); see `steps` for the arguments."""
    true, false, _ = steps(truth, scores)
    return np.append(0.0, false / false[-1]), np.append(0.0, true / true[-1])


def roc_auc(truth: np.ndarray, scores: np.ndarray) -> float:
    """Chance that a random yes scores above a random no, ties counting half (Hanley and McNeil 1982); 0..1.

    Needs yes and no: see `is_defined`.
    """
    truth = np.asarray(truth, bool)
    yes = int(truth.sum())
    ranks = stats.rankdata(scores)
    return float((ranks[truth].sum() - yes * (yes + 1) / 2) / (yes * (len(truth) - yes)))


def roc_auc_interval(area: float, yes: int, no: int) -> tuple[float, float]:
    """95 % interval of a ROC-AUC: the areas that are less than 1.96 of their own standard errors away.

    Source: Newcombe 2006, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic.
    Part 2", method 5. Sound also at an area of 1, where a bootstrap gives no width.
    """
    half_n = (yes + no) / 2 - 1

    def distance(true_area: float) -> float:
        other = 1 - true_area
        spread = true_area * other * (1 + half_n * (other / (1 + other) + true_area / (1 + true_area))) / (yes * no)
        return abs(true_area - area) - Z * float(np.sqrt(max(spread, 0.0)))

    tiny = 1e-9
    inside = float(np.clip(area, tiny, 1 - tiny))  # at 0 and 1 the standard error is 0 and would be a root itself
    low = 0.0 if distance(tiny) <= 0 else float(optimize.brentq(distance, tiny, inside))
    high = 1.0 if distance(1 - tiny) <= 0 else float(optimize.brentq(distance, inside, 1 - tiny))
    return min(low, area), max(high, area)


def pr_curve(truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(recall, precision) from the highest threshold down, starting at recall 0 with precision 1."""
    true, false, _ = steps(truth, scores)
    return np.append(0.0, true / true[-1]), np.append(1.0, true / (true + false))


def average_precision(truth: np.ndarray, scores: np.ndarray) -> float:
    """PR-AUC as a sum of precision times gain in recall, not interpolated; needs at least one yes; 0..1."""
    recall, precision = pr_curve(truth, scores)
    return float(np.sum(np.diff(recall) * precision[1:]))


def average_precision_interval(area: float, yes: int) -> tuple[float, float]:
    """95 % interval of a PR-AUC as of a share of the `yes` pictures (Boyd, Eng and Page 2013), in Wilson's form."""
    return wilson(area * yes, yes)


def sensitivity_at_specificity(truth: np.ndarray, scores: np.ndarray, *, specificity: float = 0.90) -> float:
    """Largest share of yes found while at least `specificity` of no is left alone; needs yes and no."""
    false_rate, true_rate = roc_curve(truth, scores)
    return float(true_rate[false_rate <= 1 - specificity + 1e-12].max())
