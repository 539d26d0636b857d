"""t-SNE: points in the plane whose neighbourhoods are like those in many dimensions."""

from __future__ import annotations

import numpy as np

_STEPS, _EXAGGERATED = 500, 120


def lay_out(values: np.ndarray, *, perplexity: float, seed: int) -> np.ndarray:
    """(n, d) -> (n, 2), exact: memory and time grow with n squared.

    Source: van der Maaten and Hinton 2008, algorithm 1; early exaggeration 12 and gains as in their code.
    """
    n = len(values)
    wanted = _joint(_squared_distances(values), perplexity)
    place = np.random.default_rng(seed).normal(0, 1e-4, (n, 2))
    speed, gains = np.zeros_like(place), np.ones_like(place)
    rate = max(n / 12, 50.0)
    for step in range(_STEPS):
        close = 1 / (1 + _squared_distances(place))
        np.fill_diagonal(close, 0)
        pull = (wanted * (12 if step < _EXAGGERATED else 1) - close / close.sum()) * close
        gradient = 4 * (pull.sum(axis=1)[:, None] * place - pull @ place)
        same = np.sign(gradient) == np.sign(speed)
        gains = np.clip(np.where(same, gains * 0.8, gains + 0.2), 0.01, None)
        speed = (0.5 if step < _EXAGGERATED else 0.8) * speed - rate * gains * gradient
        place = place + speed
        place -= place.mean(axis=0)
    return place


def _squared_distances(values: np.ndarray) -> np.ndarray:
    norms = (values**2).sum(axis=1)
    return np.clip(norms[:, None] + norms[None, :] - 2 * values @ values.T, 0, None)


def _joint(distances: np.ndarray, perplexity: float) -> np.ndarray:
    """Symmetric neighbourhood probabilities with this perplexity for each point, by bisection of the bandwidth."""
    n = len(distances)
    low, high = np.zeros(n), np.full(n, np.inf)
    scale = np.ones(n) / np.maximum(np.median(distances, axis=1), 1e-12)
    others = distances + np.where(np.eye(n, dtype=bool), np.inf, 0)
    shifted = others - others.min(axis=1, keepdims=True)
    for _ in range(60):
        weights = np.exp(-shifted * scale[:, None])
        share = weights / weights.sum(axis=1, keepdims=True)
        entropy = -(share * np.log(np.maximum(share, 1e-300))).sum(axis=1)
        too_wide = entropy > np.log(perplexity)
        low, high = np.where(too_wide, scale, low), np.where(too_wide, high, scale)
        scale = np.where(np.isinf(high), scale * 2, (low + np.where(np.isinf(high), 0, high)) / 2)
    joint = share + share.T
    return joint / joint.sum()
