"""95 % intervals: for a share, for a mean of shares, for a mean, for a mean over folds, and by resampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from convscope.errors import DataError
from convscope.records.prediction import Scored

Z = float(stats.norm.ppf(0.975))
WILSON = "Wilson interval"


def wilson(right: float, n: float) -> tuple[float, float]:
    """95 % interval of a share of `right` in `n`, both ends in 0..1; (0, 1) for n = 0.

    Source: Wilson 1927. Neither need be whole, so that an effective sample size can be used.
    """
    if n <= 0:
        return 0.0, 1.0
    share = right / n
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return max(0.0, float(min(share, middle - half))), min(1.0, float(max(share, middle + half)))


def scored_share(right: float, n: int) -> Scored:
    """A share with its Wilson interval.

    Raises:
        DataError: n is 0.
    """
    if n <= 0:
        raise DataError("expected at least one picture to score, got none")
    low, high = wilson(right, n)
    return Scored(float(right / n), low, high, int(n), WILSON)


def mean_of_shares(rights: np.ndarray, counts: np.ndarray) -> tuple[float, float, float]:
    """Mean of independent shares (balanced accuracy is the mean of recalls) with a 95 % interval.

    Wilson's interval at the effective sample size: the number of pictures that would give a single share the
    variance of this mean, (1 / k^2) sum p (1 - p) / n, with p smoothed by Jeffreys' prior so that a class
    that is all right still counts. With one share it is the Wilson interval itself. In the simulations of
    the tests it holds the truth in 93 % or more of the cases, also with 10 classes of 6 pictures.

    Args:
        rights: (k,) how many were right.
        counts: (k,) of how many; counts of 0 are left out.

    Returns:
        (value, low, high)

    Source: Korn and Graubard 1998, "Confidence intervals for proportions with small expected number of positive
    counts estimated from survey data" (effective sample size).
    """
    rights, counts = np.asarray(rights, np.float64), np.asarray(counts, np.float64)
    rights, counts = rights[counts > 0], counts[counts > 0]
    if not len(counts):
        raise DataError("expected at least one class with pictures to score, got none")
    value = float(np.mean(rights / counts))
    smooth = (rights + 0.5) / (counts + 1)
    variance = float(np.sum(smooth * (1 - smooth) / counts)) / len(counts) ** 2
    return value, *share_like(value, mean=float(smooth.mean()), variance=variance)


def share_like(value: float, *, mean: float, variance: float) -> tuple[float, float]:
    """95 % Wilson interval of a number in 0..1 whose smoothed mean and variance are known."""
    effective_n = mean * (1 - mean) / max(variance, 1e-12)
    return wilson(value * effective_n, effective_n)


def scored_mean(
    values: np.ndarray, *, method: str = "t interval", limits: tuple[float, float] = (-np.inf, np.inf)
) -> Scored:
    """Mean of independent numbers with its 95 % t interval, cut to `limits`; no interval for fewer than two.

    Raises:
        DataError: no number.
    """
    values = np.asarray(values, np.float64)
    if not values.size:
        raise DataError("expected at least one number to average, got none")
    mean = float(values.mean())
    if values.size < 2:
        return Scored(mean, n=int(values.size), method="one value, no interval")
    half = float(stats.t.ppf(0.975, values.size - 1) * values.std(ddof=1) / np.sqrt(values.size))
    return Scored(mean, max(mean - half, limits[0]), min(mean + half, limits[1]), int(values.size), method)


def fold_interval(values: Sequence[float], *, limits: tuple[float, float] | None = None) -> Scored:
    """Mean of one score over the folds of a cross-validation with its 95 % t interval; `n` is the number of folds.

    The training sets of folds overlap, so the interval is a little too narrow for a new data set
    (Bengio and Grandvalet 2004); it says how far the folds agree. `limits` cuts it to what the score can be.
    """
    method = f"t interval over {len(values)} folds"
    return scored_mean(np.asarray(values, np.float64), method=method, limits=limits or (-np.inf, np.inf))


def bootstrap(
    n: int, score: Callable[[np.ndarray], float], *, strata: np.ndarray | None = None, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of `score(indices)` over resampled pictures (Efron 1979).

    Args:
        n: number of pictures.
        score: takes (n,) int64 indices with repeats, returns a number; NaN results are left out.
        strata: (n,) labels; each label keeps its count in every resample.
        seed: fixes the resamples.

    Returns:
        (low, high). 1,000 resamples, fewer (at least 200) above 5,000 pictures, to bound the time.
    """
    chance = np.random.Generator(np.random.Philox(key=seed))
    resamples = int(np.clip(5_000_000 // max(n, 1), 200, 1000))
    groups = [np.arange(n)] if strata is None else [np.flatnonzero(strata == s) for s in np.unique(strata)]
    results = np.empty(resamples)
    for i in range(resamples):
        results[i] = score(np.concatenate([g[chance.integers(0, len(g), len(g))] for g in groups]))
    results = results[np.isfinite(results)]
    if not results.size:
        raise DataError("expected a score that is defined on resampled pictures, got none")
    low, high = np.quantile(results, [0.025, 0.975])
    return float(low), float(high)
