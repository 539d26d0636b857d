"""How right a detector is: COCO's numbers with intervals over pictures, and a row for each class."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from convscope.errors import DataError
from convscope.metrics.detect_curves import (
    Accumulated,
    accumulate,
    at_recalls,
    class_order,
    coco_numbers,
    threshold_curve,
)
from convscope.metrics.detect_matches import THRESHOLDS, Matches, match_boxes
from convscope.records.boxes import Detections
from convscope.records.prediction import Scored, Scores

HEADLINE = "map_50"
_WORK = 30_000_000  # found boxes x thresholds x resamples, to bound the time of the bootstrap
_METHOD = "bootstrap over pictures, {} resamples"


def match_detections(detections: Detections) -> Matches:
    """Match all pictures of a record.

    Raises:
        DataError: no truth, no pictures, or other numbers of found and true pictures.
    """
    if detections.truth is None:
        raise DataError("expected detections with their truth to score, got none; give pictures with marked boxes")
    if not len(detections.keys) or len(detections.found) != len(detections.truth):
        raise DataError(
            f"expected found and true boxes for each picture, got {len(detections.found)} and {len(detections.truth)}"
        )
    return match_boxes(detections.found, detections.truth, len(detections.classes))


def score_detections(detections: Detections, *, matches: Matches | None = None, seed: int = 0) -> Scores:
    """COCO's twelve numbers, F1 at the best score threshold, and each class's average precision.

    `map_50` and `map` carry 95 % intervals by resampling pictures; a number that is undefined here (no small boxes)
    is left out.

    Args:
        detections: with truth.
        matches: of these detections, if they are there already.
        seed: of the resamples.

    Raises:
        DataError: no truth, no pictures, or no true box that counts.
    """
    matches = match_detections(detections) if matches is None else matches
    if not matches.truth_counts[0].any():
        raise DataError("expected at least one true box to score, got none")
    n = len(detections.keys)
    tables = accumulate(matches)
    numbers = {name: value for name, value in coco_numbers(tables).items() if not np.isnan(value)}
    values = {name: Scored(value, n=n, method="no interval") for name, value in numbers.items()}
    for name, levels in ((HEADLINE, 1), ("map", len(THRESHOLDS))):
        values[name] = _interval(matches, numbers[name], n, levels=levels, seed=seed)
    overall = threshold_curve(matches, "all classes")
    values["best_f1"] = Scored(overall.best[1], n=n, method=f"at score {overall.best[0]:.3g}, IoU 0.5, all classes")
    ordered = {name: values[name] for name in (HEADLINE, "map", *(v for v in values if v not in (HEADLINE, "map")))}
    return Scores(
        task="detect",
        classes=detections.classes,
        n=n,
        headline=HEADLINE,
        values=ordered,
        per_class=_per_class(matches, tables, detections.classes),
    )


def _per_class(matches: Matches, tables: Accumulated, classes: tuple[str, ...]) -> dict[str, dict[str, float]]:
    rows: dict[str, dict[str, float]] = {}
    for label, name in enumerate(classes):
        curve = threshold_curve(matches, name, label=label)
        row = {"support": float(curve.there)}
        if curve.there:
            row["ap"] = float(tables.precision[:, :, label, 0].mean())
            row["ap_50"] = float(tables.precision[0, :, label, 0].mean())
            threshold, row["f1"], row["precision"], row["recall"] = curve.best
            if not np.isnan(threshold):
                row["score_threshold"] = threshold
        rows[name] = row
    return rows


def _interval(matches: Matches, value: float, n: int, *, levels: int, seed: int) -> Scored:
    """95 % percentile interval over resampled pictures (Efron 1979); none for a single picture."""
    if n < 2:
        return Scored(value, n=n, method="one picture, no interval")
    resamples = int(np.clip(_WORK // max(levels * len(matches.label), 1), 200, 1000))
    score = _resampled(matches, levels)
    chance = np.random.Generator(np.random.Philox(key=seed))
    results = np.empty(resamples)
    for i in range(resamples):
        results[i] = score(np.bincount(chance.integers(0, n, n), minlength=n))
    results = results[~np.isnan(results)]
    if not results.size:
        return Scored(value, n=n, method="no interval")
    low, high = np.quantile(results, [0.025, 0.975]).tolist()
    return Scored(value, min(low, value), max(high, value), n, _METHOD.format(resamples))


def _resampled(matches: Matches, levels: int) -> Callable[[np.ndarray], float]:
    """A function from how often each picture was drawn to the mean average precision of that resample."""
    prepared = []
    for label in range(matches.n_classes):
        there = matches.truth_counts[0] & (matches.truth_label == label)
        columns = class_order(matches, label)
        columns = columns[~matches.is_ignored[0, 0, columns]] if levels == 1 else columns
        counted = ~matches.is_ignored[0, :levels, columns].T
        right = matches.is_hit[0, :levels, columns].T & counted
        prepared.append((matches.truth_picture[there], matches.picture[columns], right, ~right & counted))

    def score(drawn: np.ndarray) -> float:
        parts = []
        for truth_picture, picture, right, wrong in prepared:
            there = int(drawn[truth_picture].sum())
            if there == 0:
                continue
            weight = drawn[picture]
            for level in range(levels):
                hits, misses = np.cumsum(weight * right[level]), np.cumsum(weight * wrong[level])
                parts.append(float(at_recalls(hits, misses, there).mean()))
        return float(np.mean(parts)) if parts else float("nan")

    return score
