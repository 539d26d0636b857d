"""COCO's twelve numbers equal pycocotools; the kinds of mistakes equal what TIDE counts."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convscope.data.coco_write import coco_dataset, coco_results
from convscope.metrics.detect import match_detections
from convscope.metrics.detect_curves import accumulate, coco_numbers
from convscope.metrics.detect_errors import analyse_errors
from convscope.records.boxes import Boxes, Detections, Found
from unit.metrics.found_boxes import random_detections


def by_pycocotools(detections: Detections) -> np.ndarray:
    coco = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        truth.dataset = {"info": {}, **coco_dataset(detections.keys, detections.truth, detections.classes)}
        truth.createIndex()
        run = evaluation.COCOeval(truth, truth.loadRes(coco_results(detections)), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats


@pytest.mark.parametrize(
    "seed, options",
    [
        (0, {}),
        (1, {}),
        (2, {"most_found": 400}),
        (3, {"most_found": 400, "k": 1}),
        (4, {"k": 8, "n": 40}),
        (5, {"crowds": False}),
        (6, {"n": 1}),
        (8, {"most_true": 3, "most_found": 4}),
    ],
)
def test_twelve_numbers_equal_pycocotools(seed: int, options: dict[str, int]) -> None:
    detections = random_detections(seed, **options)
    mine = np.array(list(coco_numbers(accumulate(match_detections(detections))).values()))
    np.testing.assert_allclose(np.nan_to_num(mine, nan=-1.0), by_pycocotools(detections), rtol=0, atol=1e-9)


def test_areas_of_outlines_decide_the_size_as_in_pycocotools() -> None:
    detections = random_detections(1)
    r = np.random.default_rng(5)
    truth = tuple(replace(t, areas=r.uniform(10, 20_000, len(t))) for t in detections.truth)
    detections = replace(detections, truth=truth)
    mine = np.array(list(coco_numbers(accumulate(match_detections(detections))).values()))
    np.testing.assert_allclose(np.nan_to_num(mine, nan=-1.0), by_pycocotools(detections), rtol=0, atol=1e-9)
    assert not np.allclose(mine, by_pycocotools(random_detections(1)))


def test_order_of_found_boxes_does_not_matter() -> None:
    detections = random_detections(1)
    r = np.random.default_rng(1)
    found = []
    for f in detections.found:
        order = r.permutation(len(f))
        found.append(replace(f, xyxy=f.xyxy[order], labels=f.labels[order], scores=f.scores[order]))
    first, second = (
        coco_numbers(accumulate(match_detections(d))) for d in (detections, replace(detections, found=tuple(found)))
    )
    assert first == second


# KerasCV's published numbers of its own sample (Apache-2.0, sample_boxes.npz and its test at commit 94b0a55): 84
# pictures, boxes as left, top, width, height; its padding is left out of the file here
KERAS_CV = {
    "map": 0.61690974, "map_50": 1.0, "map_75": 0.70687747, "map_small": 0.6041764, "map_medium": 0.6262922,
    "map_large": 0.61016285, "ar_1": 0.47804594, "ar_10": 0.6451851, "ar_100": 0.6484465, "ar_small": 0.62842655,
    "ar_medium": 0.65336424, "ar_large": 0.6405466,
}  # fmt: skip


def test_twelve_numbers_of_a_published_sample() -> None:
    """Stated in single precision, so equal to their last digit."""
    with np.load(Path(__file__).with_name("keras_cv_sample_boxes.npz")) as stored:
        truth, found = (
            stored["truth"],
            stored["found"],
        )  # (k, picture + box + class), (k, picture + box + class + score)
    classes = np.unique(np.concatenate([truth[:, 5], found[:, 5]]))

    def of(rows: np.ndarray, picture: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        mine = rows[rows[:, 0] == picture]
        corners = np.concatenate([mine[:, 1:3], mine[:, 1:3] + mine[:, 3:5]], axis=1)
        return corners, np.searchsorted(classes, mine[:, 5]), mine[:, -1]

    pictures, hw = range(84), (2000, 2000)
    said = tuple(Found(*of(found, k), hw) for k in pictures)
    marked = tuple(Boxes(*of(truth, k)[:2], hw) for k in pictures)
    detections = Detections(tuple(map(str, pictures)), said, tuple(map(str, classes)), marked)
    numbers = coco_numbers(accumulate(match_detections(detections)))
    assert numbers.keys() == KERAS_CV.keys()
    for name, value in KERAS_CV.items():
        assert numbers[name] == pytest.approx(value, abs=6e-8), name


# what tidecv 1.0.1 says of random_detections(seed, crowds=False), counted over all scores
TIDE = {
    1: ({"wrong class": 34, "badly placed": 103, "both": 15, "double": 168, "background": 271, "missed": 133},
        {"wrong class": 1.643, "badly placed": 5.987, "both": 0.295, "double": 1.816, "background": 7.820,
         "missed": 11.217}),
    3: ({"wrong class": 42, "badly placed": 126, "both": 14, "double": 253, "background": 158, "missed": 110},
        {"wrong class": 1.283, "badly placed": 10.426, "both": 0.325, "double": 2.500, "background": 4.264,
         "missed": 12.744}),
    5: ({"wrong class": 26, "badly placed": 121, "both": 16, "double": 126, "background": 216, "missed": 159},
        {"wrong class": 1.125, "badly placed": 9.760, "both": 0.365, "double": 1.490, "background": 6.029,
         "missed": 14.009}),
}  # fmt: skip


@pytest.mark.parametrize("seed", TIDE)
def test_kinds_of_mistakes_and_their_costs_equal_tide(seed: int) -> None:
    detections = replace(random_detections(seed, crowds=False), score_threshold=0.0)
    errors = analyse_errors(detections, match_detections(detections))
    counts, costs = TIDE[seed]
    assert {k: errors.counts[k] for k in counts} == counts
    assert {k: round(100 * v, 3) for k, v in errors.costs.items()} == pytest.approx(costs, abs=0.0011)


def test_each_kind_by_hand() -> None:
    truth = Boxes(np.array([[0, 0, 10, 10], [20, 0, 30, 10], [50, 50, 60, 60], [80, 80, 90, 90]], np.float32),
                  np.array([0, 0, 1, 1]), (100, 100))  # fmt: skip
    rows = [
        ([0, 0, 10, 10], 0, 0.9, "right"),
        ([0, 0, 10, 9], 0, 0.8, "double"),
        ([20, 6, 30, 16], 0, 0.7, "badly placed"),  # overlap 40 of 160
        ([50, 50, 60, 60], 0, 0.6, "wrong class"),
        ([50, 56, 60, 66], 0, 0.5, "both"),
        ([0, 80, 9, 90], 1, 0.4, "background"),
    ]
    found = Found(np.array([r[0] for r in rows], np.float32), np.array([r[1] for r in rows]),
                  np.array([r[2] for r in rows], np.float32), (100, 100))  # fmt: skip
    detections = Detections(("a",), (found,), ("x", "y"), (truth,), score_threshold=0.0)
    matches = match_detections(detections)
    errors = analyse_errors(detections, matches)
    said = dict(zip(matches.source.tolist(), errors.kinds.tolist()))
    assert [said[i] for i in range(6)] == [r[3] for r in rows]
    assert errors.missed.tolist() == [False, False, False, True]
    assert errors.not_found.tolist() == [False, True, True, True]
