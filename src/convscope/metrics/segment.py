"""How well masks fit: overlap and distance of surfaces, per class and per case, with intervals over cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from convscope.errors import DataError
from convscope.metrics.intervals import bootstrap
from convscope.metrics.segment_cases import CaseNumbers, measure_case
from convscope.records.masks import Segmentations
from convscope.records.prediction import Scored, Scores

RATIOS = ("dice", "iou", "sensitivity", "specificity")
DISTANCES = ("hausdorff_95", "surface_distance")


def segment_cases(found: Segmentations, *, distances: bool = True) -> tuple[CaseNumbers, ...]:
    """Each case of `found` measured; pictures of one case are taken together, in the order of their first picture.

    Raises:
        DataError: no truth, no picture, or masks that do not fit their truth.
    """
    if found.truth is None:
        raise DataError("expected masks with their truth to score, got none; give labelled pictures")
    if not found.keys:
        raise DataError("expected at least one picture to score, got none")
    members: dict[str, list[int]] = {}
    for i, name in enumerate(found.cases or found.keys):
        members.setdefault(name, []).append(i)
    return tuple(
        measure_case(
            name,
            _pairs(found, indices),
            classes=len(found.classes),
            spacing=_spacing(found, name, indices),
            distances=distances,
        )
        for name, indices in members.items()
    )


def _pairs(found: Segmentations, indices: Sequence[int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for i in indices:
        if found.truth is not None:
            yield found.masks[i], found.truth[i].read()


def _spacing(found: Segmentations, name: str, indices: Sequence[int]) -> tuple[float, float] | None:
    if found.spacing_mm is None:
        return None
    spacings = {found.spacing_mm[i] for i in indices}
    if len(spacings) > 1:
        raise DataError(f"{name}: expected one pixel size for all slices of a case, got {len(spacings)}")
    return spacings.pop()


def score_segment(found: Segmentations, *, distances: bool = True) -> Scores:
    """Scores of masks; headline Dice.

    See `score_cases` for what the numbers are and `segment_cases` for the errors.
    """
    cases = segment_cases(found, distances=distances)
    unit = "px" if found.spacing_mm is None else "mm"
    return score_cases(cases, found.classes, unit=unit, pictures=len(found.keys))


def score_cases(cases: Sequence[CaseNumbers], classes: tuple[str, ...], *, unit: str, pictures: int = 0) -> Scores:
    """Scores of measured cases.

    `values`: the mean over cases of each case's mean over its classes, the background (class 0) left out where
    there are others; 95 % intervals by resampling cases. `per_class`: the mean over the cases that hold the class.
    Distances end in `unit` ("hausdorff_95_mm"). The rule for empty masks is in `segment_cases`. `majority` is the
    Dice of the best constant answer.

    Raises:
        DataError: no case, or none that holds a class to be scored.
    """
    if not cases:
        raise DataError("expected at least one case to score, got none")
    chosen = slice(1 if len(classes) > 1 else 0, None)
    names = [(name, name) for name in RATIOS] + [(name, f"{name}_{unit}") for name in DISTANCES]
    tables = {label: _table(cases, name) for name, label in names}
    if not np.isfinite(tables["dice"][:, chosen]).any():
        raise DataError("expected a case whose truth holds a class besides the background, got none")
    values = {}
    for label, table in tables.items():
        per_case = _mean(np.where(np.isfinite(table[:, chosen]), table[:, chosen], np.nan), axis=1)
        if np.isfinite(per_case).any():
            values[label] = _scored(per_case)
    values["missed_share"] = _missed(cases, chosen)
    per_class = {name: _class_row(cases, tables, c) for c, name in enumerate(classes)}
    return Scores(
        task="segment",
        classes=classes,
        n=pictures or len(cases),
        headline="dice",
        values=values,
        per_class=per_class,
        majority=_best_constant(cases, chosen),
    )


def _table(cases: Sequence[CaseNumbers], name: str) -> np.ndarray:
    """(cases, k) float64 of one number."""
    take: Callable[[CaseNumbers], np.ndarray] = (
        (lambda case: case.ratio(name)) if name in RATIOS else (lambda case: np.asarray(getattr(case, name)))
    )
    return np.stack([take(case) for case in cases])


def _mean(values: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Mean over what is not NaN; NaN, without a warning, where nothing is left."""
    counted = np.isfinite(values)
    total = np.where(counted, values, 0.0).sum(axis=axis)
    number = counted.sum(axis=axis)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _scored(per_case: np.ndarray) -> Scored:
    values = per_case[np.isfinite(per_case)]
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return Scored(mean, n=n, method="one case, no interval")
    low, high = bootstrap(n, lambda i: float(values[i].mean()))
    return Scored(mean, min(low, mean), max(high, mean), n, "bootstrap over cases")


def _missed(cases: Sequence[CaseNumbers], chosen: slice) -> Scored:
    """Of all classes that a truth holds, the share that was marked nowhere."""
    held = np.stack([case.has_truth[chosen] for case in cases])
    missed = held & ~np.stack([case.is_found[chosen] for case in cases])
    with_truth = held.any(axis=1)
    return _scored(missed[with_truth].sum(axis=1) / held[with_truth].sum(axis=1))


def _class_row(cases: Sequence[CaseNumbers], tables: dict[str, np.ndarray], c: int) -> dict[str, float]:
    row = {}
    for label, table in tables.items():
        value = float(_mean(table[:, c]))
        if np.isfinite(value):
            row[label] = value
    held = np.array([case.has_truth[c] for case in cases])
    found = np.array([case.is_found[c] for case in cases])
    return row | {
        "support": float(held.sum()),
        "missed": float((held & ~found).sum()),
        "false_alarms": float((found & ~held).sum()),
    }


def _best_constant(cases: Sequence[CaseNumbers], chosen: slice) -> float:
    """Mean Dice of marking every pixel as one class, for the class for which that is highest."""
    best = 0.0
    for c in range(len(cases[0].counts)):
        per_case = []
        for case in cases:
            size = case.counts[:, 0] + case.counts[:, 2]
            whole = float(case.counts[0].sum())
            dice = np.where(np.arange(len(size)) == c, 2 * size / np.maximum(whole + size, 1), 0.0)
            dice = np.where(size > 0, dice, np.nan)[chosen]
            per_case.append(float(_mean(dice)))
        best = max(best, float(np.nan_to_num(_mean(np.array(per_case)))))
    return best
