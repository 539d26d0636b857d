"""Gradients over noisy copies of a picture: their mean (SmoothGrad) and their variance (VarGrad)."""

from __future__ import annotations

import numpy as np

from convscope.errors import PlanError
from convscope.explaining.asked import Asked
from convscope.explaining.method import Answer, Method


def _moments(asked: Asked, samples: int, noise: float, powers: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """The mean of each power of the gradient over the noisy copies."""
    if samples < 1:
        raise PlanError(f"expected at least 1 sample, got {samples}")
    if not 0 <= noise <= 10:
        raise PlanError(f"expected noise as a share of the picture's range, 0 to 10, got {noise}")
    pictures = asked.pictures
    space = tuple(range(1, pictures.ndim))
    sigma = noise * (pictures.max(axis=space) - pictures.min(axis=space))
    draws = asked.rng().standard_normal((samples, *pictures.shape[1:]), np.float32)
    totals = [np.zeros(pictures.shape, np.float64) for _ in powers]

    def noisy(owners: np.ndarray, variants: np.ndarray) -> np.ndarray:
        return pictures[owners] + sigma[owners].reshape(-1, *[1] * len(space)) * draws[variants]

    for part in asked.sweep(samples, noisy, gradients=True, what="noisy copies"):
        assert part.gradients is not None
        for owner, rows in part.by_owner():
            mine = part.gradients[rows]
            for total, power in zip(totals, powers):
                total[owner] += mine.sum(axis=0) if power == 1 else (mine.astype(np.float64) ** power).sum(axis=0)
    return tuple(total / samples for total in totals)


def smooth_grad(asked: Asked, *, samples: int = 32, noise: float = 0.15) -> Answer:
    """Mean gradient over `samples` copies with Gaussian noise of `noise` times the picture's own range.

    Source: Smilkov et al. 2017, section 3 (10-20 % noise).
    """
    (mean,) = _moments(asked, samples, noise, (1,))
    return Answer(mean.astype(np.float32))


def var_grad(asked: Asked, *, samples: int = 32, noise: float = 0.15) -> Answer:
    """Variance (divided by the number of samples) of the gradient over noisy copies.

    Source: Adebayo et al. 2018, appendix A.
    """
    mean, square = _moments(asked, samples, noise, (1, 2))
    return Answer(np.maximum(square - mean**2, 0).astype(np.float32))


SMOOTH_GRAD = Method(
    "smooth-grad",
    smooth_grad,
    "gradient",
    "Smilkov et al. 2017, SmoothGrad, arXiv 1706.03825, section 3",
    "Saliency averaged over noisy copies of the picture, which takes out most of its speckle.",
    join="largest size",
)
VAR_GRAD = Method(
    "var-grad",
    var_grad,
    "gradient",
    "Adebayo et al. 2018, Sanity Checks for Saliency Maps, NeurIPS, appendix A",
    "How much the gradient differs over noisy copies of the picture.",
)
