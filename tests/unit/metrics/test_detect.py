"""Scores of a detector: closed forms, thresholds, intervals, and a literal matching of single boxes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from convscope.errors import DataError
from convscope.metrics.detect import match_detections, score_detections
from convscope.metrics.detect_curves import threshold_curve
from convscope.records.boxes import Boxes, Detections, Found
from unit.metrics.found_boxes import random_detections

HW = (100, 100)


def one(true: list, found: list, *, classes: tuple[str, ...] = ("x", "y")) -> Detections:
    """Rows are (box, label) and (box, label, score)."""
    truth = Boxes(
        np.array([t[0] for t in true], np.float32).reshape(-1, 4), np.array([t[1] for t in true], np.int64), HW
    )
    got = Found(np.array([f[0] for f in found], np.float32).reshape(-1, 4), np.array([f[1] for f in found], np.int64),
                np.array([f[2] for f in found], np.float32), HW)  # fmt: skip
    return Detections(("a",), (got,), classes, (truth,))


A, B, C = [0, 0, 10, 10], [50, 50, 80, 80], [5, 60, 25, 90]


def test_perfect_is_one_and_nothing_found_is_zero() -> None:
    best = score_detections(one([(A, 0), (B, 1)], [(A, 0, 0.9), (B, 1, 0.2)]))
    assert best.headline == "map_50"
    for name in ("map", "map_50", "ar_100", "best_f1"):
        assert best.values[name].value == pytest.approx(1, abs=1e-12)
    assert "map_large" not in best.values  # no such box: left out, never NaN
    none = score_detections(one([(A, 0)], []))
    assert none.values["map_50"].value == 0 and none.per_class["x"]["f1"] == 0
    assert "ap" not in none.per_class["y"]


def test_half_found_half_wrong_by_hand() -> None:
    """Right, wrong, right among three true ones: precision 1 up to recall 1/3, 2/3 up to 2/3, 0 beyond."""
    scores = score_detections(one([(A, 0), (B, 0), (C, 0)], [(A, 0, 0.9), ([90, 0, 99, 9], 0, 0.8), (B, 0, 0.7)]))
    assert scores.values["map_50"].value == pytest.approx((34 * 1 + 33 * 2 / 3) / 101)
    row = scores.per_class["x"]
    assert row["score_threshold"] == pytest.approx(0.7) and row["f1"] == pytest.approx(2 * 2 / (3 + 3))
    assert (row["precision"], row["recall"]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))


def test_threshold_never_parts_equal_scores() -> None:
    detections = one([(A, 0)], [(A, 0, 0.5), (B, 0, 0.5), (C, 0, 0.5)])
    curve = threshold_curve(match_detections(detections), "x", label=0)
    assert len(curve.scores) == 1 and curve.precision[0] == pytest.approx(1 / 3)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_best_threshold_is_best_of_all(seed: int) -> None:
    detections = random_detections(seed)
    threshold, f1, precision, recall = threshold_curve(match_detections(detections), "all").best

    def f1_at(t: float) -> float:
        cut = replace(detections, found=tuple(f.above(t) for f in detections.found))
        curve = threshold_curve(match_detections(cut), "all")
        return float(curve.f1[-1]) if len(curve.f1) else 0.0

    assert f1 == pytest.approx(2 * precision * recall / (precision + recall))
    assert f1_at(threshold) == pytest.approx(f1)
    assert max(f1_at(t) for t in np.linspace(0, 1, 41)) <= f1 + 1e-12


def test_crowds_count_neither_way() -> None:
    detections = one([(A, 0), (B, 0)], [(A, 0, 0.9), (B, 0, 0.8), ([51, 51, 60, 60], 0, 0.7)])
    truth = replace(detections.truth[0], crowd=np.array([False, True]))
    scores = score_detections(replace(detections, truth=(truth,)))
    assert scores.values["map_50"].value == pytest.approx(1, abs=1e-12) and scores.per_class["x"]["support"] == 1


def test_intervals_hold_the_value_and_shrink_with_more_pictures() -> None:
    few, many = (score_detections(random_detections(1, n=n)).values["map_50"] for n in (10, 80))
    assert few.low < few.value < few.high and many.high - many.low < 0.7 * (few.high - few.low)
    assert score_detections(random_detections(1, n=10)).values["map_50"] == few  # chance has a seed
    assert score_detections(one([(A, 0)], [(A, 0, 0.9)])).values["map_50"].low is None


def test_resample_of_all_pictures_once_is_the_value() -> None:
    from convscope.metrics.detect import _resampled

    detections = random_detections(1)
    values = score_detections(detections).values
    matches = match_detections(detections)
    whole = np.ones(len(detections.keys), np.int64)
    assert _resampled(matches, 1)(whole) == pytest.approx(values["map_50"].value, abs=1e-12)
    assert _resampled(matches, 10)(whole) == pytest.approx(values["map"].value, abs=1e-12)
    # twice the same pictures, as a resample and as a data set
    twice = Detections(detections.keys * 2, detections.found * 2, detections.classes, detections.truth * 2)
    assert _resampled(matches, 1)(2 * whole) == pytest.approx(score_detections(twice).values["map_50"].value, abs=1e-12)


def test_what_can_not_be_scored_is_said() -> None:
    with pytest.raises(DataError, match="truth"):
        score_detections(replace(random_detections(1), truth=None))
    with pytest.raises(DataError, match="at least one true box"):
        score_detections(one([], [(A, 0, 0.9)]))
