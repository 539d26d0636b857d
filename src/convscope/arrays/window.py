"""A sliding window over a picture or volume of any size: where it goes, how its answers are weighed and joined."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from convscope.errors import PlanError

Weights = Literal["gaussian", "constant"]
Flips = tuple[tuple[int, ...], ...]
NO_FLIPS: Flips = ((),)
_LEAST_WEIGHT = 1e-3


@dataclass(frozen=True)
class Sliding:
    """How a window slides.

    Attributes:
        size: of the window along each spatial axis, in pixels.
        overlap: share of the window that neighbours share, from 0 to below 1.
        weights: "gaussian" trusts the middle of a window more than its border; "constant" all alike.
        flips: the axes mirrored for each further look at a window, `()` for the look as it is; the answers are
            mirrored back and averaged. All four in 2-D: ((), (0,), (1,), (0, 1)).
        budget_bytes: memory for the rows in work and the windows of one call; decides how many windows go at once.
    """

    size: tuple[int, ...]
    overlap: float = 0.5
    weights: Weights = "gaussian"
    flips: Flips = NO_FLIPS
    budget_bytes: int = 256 << 20

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not self.size or min(self.size) < 1:
            raise PlanError(f"expected a window of at least 1 pixel along each axis, got {self.size}")
        if not 0 <= self.overlap < 1:
            raise PlanError(f"expected an overlap from 0 to below 1, got {self.overlap}")
        if self.weights not in ("gaussian", "constant"):
            raise PlanError(f"expected weights 'gaussian' or 'constant', got {self.weights!r}")
        if not self.flips or any(not 0 <= axis < len(self.size) for flip in self.flips for axis in flip):
            raise PlanError(f"expected flips along axes 0 to {len(self.size) - 1}, got {self.flips}")


def starts(length: int, window: int, overlap: float) -> list[int]:
    """First pixels of the windows along one axis; the last window ends with the picture (MONAI's rule)."""
    if window >= length:
        return [0]
    step = max(1, int(window * (1 - overlap)))
    return [min(k * step, length - window) for k in range(-(-(length - window) // step) + 1)]


def window_weights(size: Sequence[int], kind: Weights) -> np.ndarray:
    """(*size) float32 weights above 0: 1 everywhere, or a Gaussian of width 1/8 of the window about its middle.

    Source: the importance map of MONAI (and nnU-Net): sigma = size / 8, no weight below 1/1000.
    """
    weights = np.ones(tuple(size), np.float32)
    if kind == "constant":
        return weights
    for axis, length in enumerate(size):
        place = np.arange(length, dtype=np.float32) - np.float32((length - 1) / 2)
        curve = np.exp(-(place**2) / np.float32(2 * (length / 8) ** 2), dtype=np.float32)
        weights *= curve.reshape([-1 if a == axis else 1 for a in range(len(size))])
    return np.maximum(weights, np.float32(max(float(weights.min()), _LEAST_WEIGHT)))


def blend_windows(
    predict: Callable[[np.ndarray], np.ndarray], image: np.ndarray, sliding: Sliding, *, outputs: int
) -> np.ndarray:
    """What `predict` says of the whole picture: (*spatial, channels) -> (*spatial, outputs) float32.

    For results that are too large to hold use `blended_rows`.
    """
    result = np.empty((*image.shape[: len(sliding.size)], outputs), np.float32)
    for first, rows in blended_rows(predict, image, sliding, outputs=outputs):
        result[first : first + len(rows)] = rows
    return result


def blended_rows(
    predict: Callable[[np.ndarray], np.ndarray], image: np.ndarray, sliding: Sliding, *, outputs: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Finished rows (slabs along the first axis) as soon as no further window touches them.

    Args:
        predict: (n, *size, channels) float32 -> (n, *size, outputs); always called with the same n, the last call is
            filled up with copies of its last window.
        image: (*spatial, channels). Where it is smaller than the window, zeros are put around it and cut off again.
        sliding: the window.
        outputs: channels of the answer.

    Yields:
        (number of the first row, (rows, *rest, outputs) float32): the mean of all windows' answers by their weights.

    Raises:
        PlanError: the window does not fit the picture's axes, or the budget holds not even one window.
    """
    axes = len(sliding.size)
    if image.ndim != axes + 1:
        raise PlanError(f"expected a picture of {axes} axes and channels for window {sliding.size}, got {image.shape}")
    padded, cut = _padded(image, sliding.size)
    whole = padded.shape[:axes]
    corners = list(itertools.product(*(starts(n, w, sliding.overlap) for n, w in zip(whole, sliding.size))))
    batch = _batch(sliding, corners, (whole, image.shape[-1], outputs))
    keep = slice(cut[0].start, cut[0].stop)
    for first, rows in _joined(predict, padded, sliding, corners=corners, batch=batch, outputs=outputs):
        low, high = max(first, keep.start), min(first + len(rows), keep.stop)
        if low < high:
            yield low - keep.start, rows[(slice(low - first, high - first), *cut[1:])]


def _padded(image: np.ndarray, size: tuple[int, ...]) -> tuple[np.ndarray, tuple[slice, ...]]:
    """Zeros on both sides where the picture is smaller than the window, and where the picture lies in it."""
    short = [max(0, w - n) for n, w in zip(image.shape, size)]
    before = [s // 2 for s in short]
    cut = tuple(slice(b, b + n) for b, n in zip(before, image.shape))
    if not any(short):
        return image, cut
    return np.pad(image, [*((b, s - b) for b, s in zip(before, short)), (0, 0)]), cut


def _batch(sliding: Sliding, corners: list[tuple[int, ...]], shapes: tuple[tuple[int, ...], int, int]) -> int:
    """How many windows go at once within the budget, at most 32."""
    whole, channels, outputs = shapes
    per_window = 4 * int(np.prod(sliding.size)) * (channels + 2 * outputs)
    row = 4 * int(np.prod(whole[1:])) * (outputs + 1)
    for batch in range(min(32, len(corners)), 0, -1):
        if _height(corners, sliding.size[0], batch) * row + batch * per_window <= sliding.budget_bytes:
            return batch
    need = sliding.size[0] * row + per_window
    raise PlanError(
        f"expected a memory budget of at least {need / 2**20:.0f} MiB for a window {sliding.size} over {whole}, "
        f"got {sliding.budget_bytes / 2**20:.0f} MiB; give more or choose a smaller window"
    )


def _height(corners: list[tuple[int, ...]], window: int, batch: int) -> int:
    """Rows that must be held at once when `batch` windows are answered together."""
    return max(
        corners[min(i + batch, len(corners)) - 1][0] + window - corners[i][0] for i in range(0, len(corners), batch)
    )


def _joined(
    predict: Callable[[np.ndarray], np.ndarray],
    image: np.ndarray,
    sliding: Sliding,
    *,
    corners: list[tuple[int, ...]],
    batch: int,
    outputs: int,
) -> Iterator[tuple[int, np.ndarray]]:
    axes, window = len(sliding.size), sliding.size
    weights = window_weights(window, sliding.weights)
    rest = image.shape[1:axes]
    high = min(_height(corners, window[0], batch), image.shape[0])
    # outputs first: NumPy is slow along a last axis of a few
    total, weight = np.zeros((outputs, high, *rest), np.float32), np.zeros((1, high, *rest), np.float32)
    base = 0
    for i in range(0, len(corners), batch):
        ready = corners[i][0] - base  # rows that no later window touches
        if ready:
            yield base, _mean(total[:, :ready], weight[:, :ready])
            for held in (total, weight):
                held[:, :-ready] = held[:, ready:].copy()
                held[:, -ready:] = 0
            base += ready
        group = corners[i : i + batch]
        places = [tuple(slice(c, c + w) for c, w in zip(corner, window)) for corner in group]
        filled = places + places[-1:] * (batch - len(places))
        answers = _looked_at(predict, np.stack([image[p] for p in filled], dtype=np.float32), sliding.flips)
        for place, answer in zip(places, answers):
            inside = (slice(place[0].start - base, place[0].stop - base), *place[1:])
            for c in range(outputs):
                total[c][inside] += answer[..., c] * weights
            weight[0][inside] += weights
    left = image.shape[0] - base
    yield base, _mean(total[:, :left], weight[:, :left])


def _mean(total: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Sums (outputs, rows, ...) over their weights (1, rows, ...) -> (rows, ..., outputs)."""
    return np.moveaxis(total / weight, 0, -1)


def _looked_at(predict: Callable[[np.ndarray], np.ndarray], windows: np.ndarray, flips: Flips) -> np.ndarray:
    """Mean answer over the flips, each mirrored back."""
    total: np.ndarray | None = None
    for flip in flips:
        turned = tuple(axis + 1 for axis in flip)
        answer = np.flip(np.asarray(predict(np.ascontiguousarray(np.flip(windows, turned)))), turned)
        total = answer.astype(np.float32, copy=False) if total is None else total + answer
    if total is None:
        raise PlanError("expected at least one look at each window, got no flips; use ((),) for one as it is")
    return total if len(flips) == 1 else total / np.float32(len(flips))
