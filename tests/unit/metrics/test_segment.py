"""Overlap and distance of masks: MONAI's published values and the stated rule for empty masks."""

import numpy as np
import pytest

from convscope.errors import DataError
from convscope.metrics.segment import score_cases, score_segment, segment_cases
from convscope.metrics.segment_cases import measure_case
from convscope.records.masks import VOID, ArrayMask, Segmentations


def mask(text):
    return np.array([int(c) for c in text], np.uint8).reshape(2, 2)


def one_class(found, truth):
    return float(measure_case("a", [(mask(found), mask(truth))], classes=2).ratio("dice")[1])


def test_monai_dice_of_one_mask():
    assert one_class("1001", "1011") == pytest.approx(0.8)
    assert one_class("1111", "1111") == 1
    assert np.isnan(one_class("1111", "0000"))
    assert np.isnan(one_class("0000", "0000"))


def test_monai_dice_of_two_pictures_and_three_classes():
    """tests/metrics/test_compute_meandice.py: mean_batch [.6786, .4, .6667], mean .689683."""
    hot_found = [("1110", "0100", "0111"), ("1011", "0111", "0110")]
    hot_truth = [("1111", "0000", "0000"), ("0001", "1100", "0010")]
    table = np.array([[one_class(f, t) for f, t in zip(found, truth)] for found, truth in zip(hot_found, hot_truth)])
    np.testing.assert_allclose(np.nanmean(table, axis=0), [0.6786, 0.4, 0.6667], atol=1e-4)
    assert np.nanmean(np.nanmean(table, axis=1)) == pytest.approx(0.689683, abs=1e-6)


def made(found, truth, **more):
    keys = tuple(f"p{i}" for i in range(len(found)))
    return Segmentations(keys, tuple(found), ("background", "x", "y"), tuple(map(ArrayMask, truth)), **more)


# monai 1.6.1 compute_dice / compute_hausdorff_distance(percentile=95, spacing=[2, 1]) on the masks of `example`
MONAI_DICE = [[0.3139, 0.3562, 0.3567], [0.4957, np.nan, np.nan], [0.3448, 0.4890, np.nan], [0.0, 0.5085, 0.0]]
MONAI_HD95 = [[2.2361, 2.2361], [np.nan, np.nan], [2.0708, np.nan], [9.0, np.inf]]


def example():
    chance = np.random.default_rng(0)
    found, truth = (chance.integers(0, 3, (4, 20, 22)).astype("u1") for _ in range(2))
    truth[1] = 0
    truth[2][truth[2] == 2] = 1
    found[3] = 1
    return made(found, truth, spacing_mm=((2.0, 1.0),) * 4)


def test_monai_on_noise_with_empty_truth_and_a_missed_class():
    cases = segment_cases(example())
    np.testing.assert_allclose(np.stack([c.ratio("dice") for c in cases]), MONAI_DICE, atol=6e-5)
    np.testing.assert_allclose(np.stack([c.hausdorff_95[1:] for c in cases]), MONAI_HD95, atol=6e-5)


def test_scores_say_what_was_missed_and_what_was_a_false_alarm():
    scores = score_segment(example())
    assert scores.headline == "dice" and scores.task == "segment"
    dice = np.array(MONAI_DICE)[:, 1:]
    expected = np.mean([np.nanmean(row) for row in dice if np.isfinite(row).any()])
    assert scores.values["dice"].value == pytest.approx(expected, abs=1e-4)
    assert scores.values["dice"].n == 3  # the case with an empty truth has none
    assert scores.values["dice"].low < expected < scores.values["dice"].high
    assert scores.per_class["y"]["missed"] == 1 and scores.per_class["y"]["support"] == 2
    assert scores.per_class["x"]["false_alarms"] == 1
    assert scores.per_class["x"]["hausdorff_95_mm"] == pytest.approx((2.2361 + 2.0708 + 9) / 3, abs=1e-4)
    assert scores.values["missed_share"].value == pytest.approx(0.5 / 3)
    assert "hausdorff_95_px" not in scores.values


def test_void_counts_nowhere():
    truth = np.array([[1, VOID], [0, VOID]], np.uint8)
    case = measure_case("a", [(np.array([[1, 1], [0, 0]], np.uint8), truth)], classes=2)
    assert case.ratio("dice")[1] == 1 and case.counts.sum() == 2 * 2
    assert case.hausdorff_95[1] == 0


def test_slices_of_a_case_are_counted_together():
    found = [np.array([[1, 1], [0, 0]], np.uint8), np.array([[1, 0], [0, 0]], np.uint8)]
    truth = [np.array([[1, 0], [0, 0]], np.uint8), np.array([[1, 0], [0, 0]], np.uint8)]
    both = segment_cases(made(found, truth, cases=("patient", "patient")))
    assert len(both) == 1 and both[0].ratio("dice")[1] == pytest.approx(4 / 5)
    apart = segment_cases(made(found, truth))
    assert [c.ratio("dice")[1] for c in apart] == [pytest.approx(2 / 3), 1]


def test_a_volume_is_measured_in_space():
    truth = np.zeros((6, 5, 5), np.uint8)
    truth[1] = 1
    found = np.roll(truth, 2, axis=0)
    case = measure_case("v", [(found, truth)], classes=2, spacing=(2.5, 1, 1))
    assert case.hausdorff_95[1] == 5 and case.surface_distance[1] == 5


def test_best_constant_answer():
    truth = [np.array([[1, 1], [1, 0]], np.uint8)]
    scores = score_segment(Segmentations(("a",), (truth[0],), ("b", "x"), (ArrayMask(truth[0]),)))
    assert scores.majority == pytest.approx(6 / 7)
    assert scores.values["dice"].low is None


def test_refusals():
    with pytest.raises(DataError, match="with their truth"):
        score_segment(Segmentations(("a",), (mask("0000"),), ("b", "x")))
    with pytest.raises(DataError, match="one shape"):
        measure_case("a", [(mask("0000"), np.zeros((3, 2), np.uint8))], classes=2)
    with pytest.raises(DataError, match="0 to 1"):
        measure_case("a", [(mask("0002"), mask("0000"))], classes=2)
    with pytest.raises(DataError, match="besides the background"):
        score_cases([measure_case("a", [(mask("0100"), mask("0000"))], classes=2)], ("b", "x"), unit="px")
    with pytest.raises(DataError, match="at least one case"):
        score_cases([], ("b", "x"), unit="px")
    with pytest.raises(DataError, match="one pixel size"):
        two = made([mask("0000")] * 2, [mask("0001")] * 2, spacing_mm=((1.0, 1.0), (2.0, 1.0)), cases=("a", "a"))
        segment_cases(two)
