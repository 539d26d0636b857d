"""Meaningful regions instead of pixels: superpixels, and what each one adds (Shapley values, LIME)."""

from __future__ import annotations

import numpy as np

from convscope.errors import MissingExtraError, PlanError
from convscope.explaining.asked import Asked
from convscope.explaining.integrated import baseline_pictures
from convscope.explaining.method import Answer, Method


def superpixels(picture: np.ndarray, segments: int) -> np.ndarray:
    """Label map (h, w) from 0 of a picture (h, w, c): regions of like colour (SLIC, Achanta et al. 2012).

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    try:
        from skimage.segmentation import slic
    except ImportError as error:
        raise MissingExtraError("regions need scikit-image; run: pip install 'convscope[explain]'") from error
    low, high = float(picture.min()), float(picture.max())
    scaled = (picture - low) / (high - low)
    found = slic(scaled, n_segments=segments, compactness=10 if picture.shape[2] == 3 else 0.1, start_label=0,
                 channel_axis=-1, convert2lab=picture.shape[2] == 3)  # fmt: skip
    return np.unique(found, return_inverse=True)[1].reshape(found.shape)


def _checked(segments: int, samples: int) -> None:
    if segments < 2 or samples < 1:
        raise PlanError(f"expected at least 2 segments and 1 sample, got {segments} and {samples}")


def coalition_scores(
    asked: Asked, owner: int, regions: np.ndarray, cover: np.ndarray, members: np.ndarray
) -> np.ndarray:
    """(m,) scores of one picture where only the regions of `members` (m, k) bool show, the rest is covered."""
    picture, size = asked.pictures[owner], asked.probe.batch_size
    found = []
    for start in range(0, len(members), size):
        shown = members[start : start + size][:, regions][..., None]
        made = np.where(shown, picture, cover[owner])
        owners = np.full(len(made), owner)
        found.append(asked.scored(made, owners, padded=len(members) > size)[0])
        asked.progress("coalitions of regions", min(start + size, len(members)), len(members))
    return np.concatenate(found).astype(np.float64)


def shapley(asked: Asked, *, segments: int = 40, samples: int = 16, fill: str | np.ndarray = "mean") -> Answer:
    """Each region's mean gain over random orders in which regions are uncovered; every second order is reversed.

    The values of a picture add up exactly to score - score of the covered picture.

    Source: Castro et al. 2009, algorithm 1; antithetic orders after Mitchell et al. 2022, section 4.2.
    """
    _checked(segments, samples)
    pictures = asked.pictures
    cover = baseline_pictures(pictures, fill)
    heat = np.zeros(pictures.shape[:3], np.float32)
    errors = np.zeros(asked.n, np.float32)
    for i, picture in enumerate(pictures):
        regions, rng = superpixels(picture, segments), asked.rng()
        k = int(regions.max()) + 1
        orders: list[np.ndarray] = []
        for s in range(samples):
            orders.append(orders[-1][::-1] if s % 2 else rng.permutation(k))
        members = np.concatenate([_uncovered(order, k) for order in orders])
        scores = coalition_scores(asked, i, regions, cover, members).reshape(samples, k + 1)
        gains = np.zeros((samples, k))
        for s, order in enumerate(orders):
            gains[s, order] = np.diff(scores[s])
        values = gains.mean(axis=0)
        errors[i] = (gains.std(axis=0) / np.sqrt(samples)).max()
        heat[i] = values[regions]
    return Answer(heat, facts={"standard_error": errors}, notes={"regions": f"about {segments} superpixels"})


def _uncovered(order: np.ndarray, k: int) -> np.ndarray:
    """(k + 1, k) bool: nothing, then one region more in each row."""
    rank = np.empty(k, int)
    rank[order] = np.arange(k)
    return rank[None, :] < np.arange(k + 1)[:, None]


def lime(
    asked: Asked,
    *,
    segments: int = 40,
    samples: int = 512,
    kernel_width: float = 0.25,
    ridge: float = 1.0,
    fill: str | np.ndarray = "mean",
) -> Answer:
    """Coefficients of a linear model fitted to the scores of random sets of regions, near ones weighing more.

    Facts: "fit", the weighted R2 of that linear model, 1 at best; low means that the heat should not be trusted.

    Source: Ribeiro et al. 2016, eq. 2 and algorithm 1 (cosine distance, exponential kernel, ridge regression).
    """
    _checked(segments, samples)
    pictures = asked.pictures
    cover = baseline_pictures(pictures, fill)
    heat, fits = np.zeros(pictures.shape[:3], np.float32), np.zeros(asked.n, np.float32)
    for i, picture in enumerate(pictures):
        regions = superpixels(picture, segments)
        k = int(regions.max()) + 1
        members = asked.rng().random((samples, k)) < 0.5
        members[0] = True
        scores = coalition_scores(asked, i, regions, cover, members)
        coefficients, fits[i] = ridge_fit(members.astype(np.float64), scores, kernel_width, ridge)
        heat[i] = coefficients[regions]
    return Answer(heat, facts={"fit": fits}, notes={"regions": f"about {segments} superpixels"})


def ridge_fit(members: np.ndarray, scores: np.ndarray, kernel_width: float, ridge: float) -> tuple[np.ndarray, float]:
    """Weighted ridge regression with an intercept that is not penalised: coefficients (k,) and R2."""
    cosine = np.sqrt(members.mean(axis=1))  # between a set of ones and all ones
    weights = np.sqrt(np.exp(-((1 - cosine) ** 2) / kernel_width**2))
    centre, mean = np.average(members, axis=0, weights=weights), np.average(scores, weights=weights)
    x, y = members - centre, scores - mean
    gram = (x * weights[:, None]).T @ x + ridge * np.eye(members.shape[1])
    coefficients = np.linalg.solve(gram, (x * weights[:, None]).T @ y)
    left = np.average((y - x @ coefficients) ** 2, weights=weights)
    spread = np.average(y**2, weights=weights)
    return coefficients, float(1 - left / spread) if spread > 1e-18 else 1.0


SHAPLEY = Method(
    "shapley",
    shapley,
    "perturbation",
    "Castro et al. 2009, Polynomial calculation of the Shapley value, Computers & Operations Research, algorithm 1",
    "What each region adds to the score, averaged over the orders in which regions can be uncovered.",
    needs_gradients=False,
    is_signed=True,
)
LIME = Method(
    "lime",
    lime,
    "perturbation",
    "Ribeiro et al. 2016, Why Should I Trust You?, KDD, eq. 2 and algorithm 1",
    "A linear model of what each region adds, fitted to random sets of regions.",
    needs_gradients=False,
    is_signed=True,
)
