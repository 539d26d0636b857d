"""Forms of boxes, overlaps, and suppression against literal twins."""

from __future__ import annotations

import numpy as np
import pytest

from convscope.arrays.boxes import (
    box_areas,
    clip_boxes,
    cxcywh_from_xyxy,
    iou_matrix,
    paired_iou,
    xywh_from_xyxy,
    xyxy_from_cxcywh,
    xyxy_from_xywh,
)
from convscope.arrays.nms import suppress, suppress_softly
from reference.boxes_twin import greedy_nms, iou, soft_nms


def random_boxes(seed: int, n: int) -> np.ndarray:
    r = np.random.default_rng(seed)
    low = r.uniform(0, 60, (n, 2))
    return np.concatenate([low, low + r.uniform(1, 40, (n, 2))], axis=1)


def test_overlaps_equal_the_twin() -> None:
    a, b = random_boxes(0, 12), random_boxes(1, 9)
    literal = np.array([[iou(x, y) for y in b] for x in a])
    np.testing.assert_allclose(iou_matrix(a, b), literal, atol=1e-12)
    np.testing.assert_allclose(paired_iou(a[:9], b), np.diag(literal[:9]), atol=1e-12)
    assert iou_matrix(a, b[:0]).shape == (12, 0)
    flat = np.array([[3.0, 3, 3, 9]])
    assert iou_matrix(flat, flat)[0, 0] == 0


def test_crowds_divide_by_the_found_box_alone() -> None:
    small, group = np.array([[2.0, 2, 6, 6]]), np.array([[0.0, 0, 100, 100]])
    assert iou_matrix(small, group, crowd=np.array([True]))[0, 0] == 1
    np.testing.assert_allclose(iou_matrix(small, group)[0, 0], 16 / 10_000)


def test_forms_go_there_and_back() -> None:
    boxes = random_boxes(2, 20)
    np.testing.assert_allclose(xyxy_from_xywh(xywh_from_xyxy(boxes)), boxes)
    np.testing.assert_allclose(xyxy_from_cxcywh(cxcywh_from_xyxy(boxes)), boxes)
    np.testing.assert_allclose(xywh_from_xyxy(np.array([1, 2, 4, 8])), [1, 2, 3, 6])
    np.testing.assert_allclose(cxcywh_from_xyxy(np.array([1.0, 2, 4, 8])), [2.5, 5, 3, 6])
    assert clip_boxes(np.array([-1.0, 2, 40, 50]), (30, 20)).tolist() == [0, 2, 20, 30]
    assert box_areas(np.array([[5, 5, 3, 9], [0, 0, 2, 3]])).tolist() == [0, 6]


def test_numbers_that_torchmetrics_fixes() -> None:
    """Prediction [.5, .5, 1, 1], truth [0, 0, 1, 1]: IoU 0.25 as corners, 0.143 as sizes."""
    found, true = np.array([[0.5, 0.5, 1, 1]]), np.array([[0.0, 0, 1, 1]])
    assert iou_matrix(found, true)[0, 0] == 0.25
    assert iou_matrix(xyxy_from_xywh(found), xyxy_from_xywh(true))[0, 0] == pytest.approx(0.25 / 1.75)
    assert iou_matrix(xyxy_from_cxcywh(found), xyxy_from_cxcywh(true))[0, 0] == pytest.approx(0.25 / 1.75)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("agnostic", [False, True])
def test_suppression_equals_the_twin_and_says_who_removed_whom(seed: int, agnostic: bool) -> None:
    r = np.random.default_rng(seed)
    boxes, scores, labels = random_boxes(seed, 40), np.round(r.random(40), 1), r.integers(0, 3, 40)
    done = suppress(boxes, scores, labels=None if agnostic else labels, iou_above=0.4)
    literal = greedy_nms(boxes, scores, labels, threshold=0.4, least=-1, agnostic=agnostic)
    assert done.kept.tolist() == literal
    for i in range(40):
        by = int(done.removed_by[i])
        assert (by == -1) == (i in literal)
        if by >= 0:
            assert (
                by in literal and done.overlap[i] == pytest.approx(iou(boxes[i], boxes[by])) and done.overlap[i] > 0.4
            )
            assert scores[by] >= scores[i] and (agnostic or labels[by] == labels[i])
    assert suppress(boxes, scores, most=2).kept.tolist() == suppress(boxes, scores).kept[:2].tolist()


@pytest.mark.parametrize("seed", range(4))
def test_soft_suppression_equals_the_twin(seed: int) -> None:
    r = np.random.default_rng(seed)
    boxes, scores, labels = random_boxes(seed, 30), r.random(30), r.integers(0, 2, 30)
    done = suppress_softly(boxes, scores, labels=labels, sigma=0.5, score_at_least=0.05)
    literal = soft_nms(boxes, scores, labels, sigma=0.5, least=0.05, most=30)
    assert done.kept.tolist() == [i for i, _ in literal]
    np.testing.assert_allclose(done.scores[done.kept], [s for _, s in literal], atol=1e-12)
    assert suppress_softly(boxes[:0], scores[:0]).kept.shape == (0,)
