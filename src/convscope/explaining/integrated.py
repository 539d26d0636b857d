"""Integrated gradients: gradients along the straight way from a baseline to the picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convscope.errors import PlanError
from convscope.explaining.asked import Asked
from convscope.explaining.method import Answer, Method
from convscope.registry import nearest

BASELINES = ("black", "white", "mean", "blurred")


def baseline_pictures(pictures: np.ndarray, baseline: str | np.ndarray) -> np.ndarray:
    """Where the way begins, shaped like `pictures` (n, h, w, c).

    Args:
        pictures: what is explained.
        baseline: "black" (0; the network's own 0, black for networks that take pixels 0..255), "white" (each
            picture's largest value), "mean" (each picture's mean colour), "blurred" (mean of a window of a quarter
            of the picture), or an array that broadcasts to the pictures.

    Raises:
        PlanError: an unknown name or an array that does not fit.
    """
    if isinstance(baseline, str):
        if baseline not in BASELINES:
            raise PlanError(f"unknown baseline {baseline!r}; {nearest(baseline, BASELINES)}")
        if baseline == "black":
            return np.zeros_like(pictures)
        if baseline == "white":
            return np.broadcast_to(pictures.max(axis=(1, 2, 3), keepdims=True), pictures.shape).copy()
        if baseline == "mean":
            return np.broadcast_to(pictures.mean(axis=(1, 2), keepdims=True), pictures.shape).copy()
        return blurred(pictures)
    values = np.asarray(baseline, np.float32)
    try:
        return np.broadcast_to(values, pictures.shape).copy()
    except ValueError as error:
        raise PlanError(f"expected a baseline like the pictures {pictures.shape}, got {values.shape}") from error


def blurred(pictures: np.ndarray) -> np.ndarray:
    """Pictures (n, h, w, c) blurred by a Gaussian of a sixteenth of their smaller side."""
    from scipy.ndimage import gaussian_filter

    sigma = min(pictures.shape[1:3]) / 16
    return gaussian_filter(pictures, (0, sigma, sigma, 0), mode="nearest").astype(np.float32)


def integrated_gradients(
    asked: Asked, *, steps: int = 32, baseline: str | np.ndarray | Sequence[str] = "black"
) -> Answer:
    """(picture - baseline) x mean gradient between them, by Gauss-Legendre quadrature.

    Args:
        asked: the question.
        steps: points on the way.
        baseline: as in `baseline_pictures`; several names are averaged.

    Facts: "completeness_gap", |sum of the heat - (score - score of the baseline)|, which should be small; if it is
    not, take more steps. "score_change" is that difference of scores.

    Source: Sundararajan et al. 2017, eq. 1 and 3.
    """
    if steps < 1:
        raise PlanError(f"expected at least 1 step, got {steps}")
    names: list[str | np.ndarray] = [baseline] if isinstance(baseline, (str, np.ndarray)) else list(baseline)
    parts = [_along_one_way(asked, steps, one) for one in names]
    values = np.mean([p[0] for p in parts], axis=0)
    change = np.mean([p[1] for p in parts], axis=0)
    gap = np.abs(values.sum(axis=(1, 2, 3), dtype=np.float64) - change)
    words = " and ".join(n if isinstance(n, str) else "given picture" for n in names)
    facts = {"completeness_gap": gap.astype(np.float32), "score_change": change.astype(np.float32)}
    return Answer(values.astype(np.float32), facts=facts, notes={"baseline": words})


def _along_one_way(asked: Asked, steps: int, baseline: str | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pictures = asked.pictures
    start = baseline_pictures(pictures, baseline)
    way = pictures - start
    points, weights = np.polynomial.legendre.leggauss(steps)
    points, weights = ((points + 1) / 2).astype(np.float32), (weights / 2).astype(np.float32)
    total = np.zeros(pictures.shape, np.float64)

    def between(owners: np.ndarray, variants: np.ndarray) -> np.ndarray:
        return start[owners] + points[variants].reshape(-1, 1, 1, 1) * way[owners]

    for part in asked.sweep(steps, between, gradients=True, what="steps from the baseline"):
        assert part.gradients is not None
        for owner, rows in part.by_owner():
            total[owner] += np.einsum("v,vhwc->hwc", weights[part.variants[rows]], part.gradients[rows])
    before, _ = asked.scored(start, np.arange(asked.n))
    return total * way, asked.scores.astype(np.float64) - before


INTEGRATED_GRADIENTS = Method(
    "integrated-gradients",
    integrated_gradients,
    "gradient",
    "Sundararajan et al. 2017, Axiomatic Attribution for Deep Networks, ICML, eq. 1 and 3",
    "Each pixel's share of the difference between this picture's score and the baseline's; the shares add up to it.",
    is_signed=True,
)
