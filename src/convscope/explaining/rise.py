"""RISE: score many randomly masked pictures; places that are open when the score is high are warm."""

from __future__ import annotations

import numpy as np

from convscope.errors import PlanError
from convscope.explaining.asked import Asked
from convscope.explaining.frames import resize_stack
from convscope.explaining.integrated import baseline_pictures
from convscope.explaining.method import Answer, Method


class Masks:
    """Smooth random masks (m, height, width) in 0..1, made when needed from small random grids.

    Source: Petsiuk et al. 2018, section 3.2: a grid of ones and zeros, enlarged bilinearly, cut at a random shift.
    """

    def __init__(self, count: int, cells: int, share: float, size_hw: tuple[int, int], rng: np.random.Generator):
        """Draw the grids and shifts."""
        self._size = size_hw
        self._cell = tuple(-(-s // cells) for s in size_hw)
        self._grids = (rng.random((count, cells + 1, cells + 1)) < share).astype(np.float32)
        self._shifts = np.stack([rng.integers(0, c, count) for c in self._cell], axis=1)

    def __getitem__(self, numbers: np.ndarray) -> np.ndarray:
        """The masks of these numbers."""
        grids = self._grids[numbers]
        cells = grids.shape[1]
        large = resize_stack(grids, cells * self._cell[0], cells * self._cell[1])
        height, width = self._size
        shifts = self._shifts[numbers]
        return np.stack([one[y : y + height, x : x + width] for one, (y, x) in zip(large, shifts)])


def rise(
    asked: Asked,
    *,
    samples: int = 1000,
    cells: int = 7,
    share: float = 0.5,
    fill: str | np.ndarray = "black",
    centred: bool = True,
) -> Answer:
    """Mean over random masks of score x mask.

    Args:
        asked: the question.
        samples: masks; the heat's noise falls with the square root of it.
        cells: cells of a mask along each side.
        share: of open cells, 0..1.
        fill: what shows through a closed cell, as in `integrated.baseline_pictures`.
        centred: take the mean score out first: the same order of places in expectation, less noise, and 0 for a
            constant model; False gives the paper's own sum.

    Source: Petsiuk et al. 2018, eq. 6.
    """
    if samples < 2 or cells < 1 or not 0 < share < 1:
        raise PlanError(f"expected samples >= 2, cells >= 1, 0 < share < 1, got {samples}, {cells}, {share}")
    pictures = asked.pictures
    cover = baseline_pictures(pictures, fill)
    masks = Masks(samples, cells, share, pictures.shape[1:3], asked.rng())
    latest: list[np.ndarray] = []

    def masked(owners: np.ndarray, variants: np.ndarray) -> np.ndarray:
        latest[:] = [masks[variants]]
        return cover[owners] + latest[0][..., None] * (pictures[owners] - cover[owners])

    size = pictures.shape[1:3]
    with_score, plain = np.zeros((asked.n, *size)), np.zeros((asked.n, *size))
    total = np.zeros(asked.n)
    for part in asked.sweep(samples, masked, what="random masks"):
        for owner, rows in part.by_owner():
            shown, scores = latest[0][rows], part.scores[rows]
            with_score[owner] += np.einsum("v,vhw->hw", scores, shown)
            plain[owner] += shown.sum(axis=0)
            total[owner] += scores.sum(dtype=np.float64)
    if centred:
        with_score -= (total / samples)[:, None, None] * plain
    return Answer((with_score / (samples * share)).astype(np.float32))


RISE = Method(
    "rise",
    rise,
    "perturbation",
    "Petsiuk et al. 2018, RISE, BMVC, eq. 6",
    "Where the picture was visible when randomly masked copies scored high.",
    needs_gradients=False,
)
