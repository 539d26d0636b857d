"""One case (a picture, or all slices of a volume) measured class by class.

The rule for what is not there, the same everywhere:
- a class that the case's truth does not hold has no Dice, IoU, sensitivity or distance in this case: it is left out
  of every mean (MONAI's default); if the network marks it all the same, the case counts as a false alarm;
- a class that the truth holds and the network marks nowhere has Dice 0 and infinite distances: it counts as missed,
  and the means of distances are over the cases in which something was found, with the number missed beside them.
Pixels that are VOID in the truth count nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from convscope.arrays.surface import mean_surface_distance, percentile_hausdorff, surface_distances
from convscope.errors import DataError
from convscope.records.masks import VOID


@dataclass(frozen=True, eq=False)
class CaseNumbers:
    """What was counted in one case.

    Attributes:
        name: of the case.
        counts: (k, 4) int64: pixels rightly marked, wrongly marked, missed, rightly left alone, by class.
        hausdorff_95, surface_distance: (k,) float64 in the spacing's unit; NaN where the truth has no such class,
            infinite where it was missed.
    """

    name: str
    counts: np.ndarray
    hausdorff_95: np.ndarray
    surface_distance: np.ndarray

    @property
    def has_truth(self) -> np.ndarray:
        """(k,) bool: the truth holds the class."""
        return self.counts[:, 0] + self.counts[:, 2] > 0

    @property
    def is_found(self) -> np.ndarray:
        """(k,) bool: the network marked the class somewhere."""
        return self.counts[:, 0] + self.counts[:, 1] > 0

    def ratio(self, name: str) -> np.ndarray:
        """(k,) float64 "dice", "iou", "sensitivity" or "specificity"; NaN where it has no meaning."""
        right, wrong, missed, alone = self.counts.T.astype(np.float64)
        over, under = {
            "dice": (2 * right, 2 * right + wrong + missed),
            "iou": (right, right + wrong + missed),
            "sensitivity": (right, right + missed),
            "specificity": (alone, alone + wrong),
        }[name]
        is_defined = (under > 0) if name == "specificity" else self.has_truth
        return np.where(is_defined, over / np.where(under > 0, under, 1), np.nan)


def measure_case(
    name: str,
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    *,
    classes: int,
    spacing: Sequence[float] | None = None,
    distances: bool = True,
) -> CaseNumbers:
    """Count and measure one case.

    Args:
        name: of the case.
        pairs: (found, truth) uint8 class indices, each pair of one shape: slices (h, w), or one volume (d, h, w).
            Distances of slices are taken within each slice and pooled; give the volume for distances in space.
        classes: how many there are, the background among them.
        spacing: size of a pixel along each axis; 1 by default.
        distances: False leaves the two distances NaN; they cost most of the time.

    Raises:
        DataError: shapes that differ, or an index that stands for no class.
    """
    table = np.zeros((classes, classes), np.int64)
    gaps: list[tuple[list[np.ndarray], list[np.ndarray]]] = [([], []) for _ in range(classes)]
    for found, truth in pairs:
        _check(name, found, truth, classes)
        said = truth != VOID
        joint = truth[said].astype(np.int64) * classes + found[said]
        table += np.bincount(joint, minlength=classes * classes).reshape(classes, classes)
        for c in range(1, classes) if distances else ():
            there, back = surface_distances((found == c) & said, truth == c, spacing=spacing)
            gaps[c][0].append(there)
            gaps[c][1].append(back)
    right = np.diag(table)
    wrong, missed = table.sum(axis=0) - right, table.sum(axis=1) - right
    counts = np.stack([right, wrong, missed, table.sum() - right - wrong - missed], axis=1)
    return CaseNumbers(name, counts, *_distances(gaps, counts, distances))


def _distances(
    gaps: list[tuple[list[np.ndarray], list[np.ndarray]]], counts: np.ndarray, wanted: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(k,) Hausdorff 95 and (k,) mean surface distance; the background, class 0, has none."""
    hausdorff, mean = np.full(len(gaps), np.nan), np.full(len(gaps), np.nan)
    for c, (there, back) in enumerate(gaps):
        if not wanted or c == 0 or counts[c, 0] + counts[c, 2] == 0:
            continue
        pooled = _finite(np.concatenate(there)), _finite(np.concatenate(back))
        if counts[c, 0] + counts[c, 1] == 0 or not (pooled[0].size and pooled[1].size):
            hausdorff[c] = mean[c] = np.inf
            continue
        hausdorff[c], mean[c] = percentile_hausdorff(pooled), mean_surface_distance(pooled)
    return hausdorff, mean


def _finite(distances: np.ndarray) -> np.ndarray:
    """Slices in which only one of the two marks anything have no distance within the slice."""
    return distances[np.isfinite(distances)]


def _check(name: str, found: np.ndarray, truth: np.ndarray, classes: int) -> None:
    if found.shape != truth.shape:
        raise DataError(f"{name}: expected masks of one shape, got {found.shape} found and {truth.shape} true")
    for word, mask in (("found", found), ("true", truth[truth != VOID])):
        if mask.size and int(mask.max()) >= classes:
            raise DataError(f"{name}: expected class indices 0 to {classes - 1}, {word} mask holds {int(mask.max())}")
