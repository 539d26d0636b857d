"""What a literal twin can't say of the detectors' layers: gradients at the edges, closed forms, settings, saving."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convscope.backend.gradients import compile_tapped
from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.errors import PlanError
from convscope.layers.anchors import grid_anchors, grid_points
from convscope.layers.assign import draw_sample
from convscope.layers.boxes import encode
from convscope.layers.detection_losses import ciou, giou, smooth_l1
from convscope.layers.found_boxes import expected_distances
from convscope.layers.nms import suppress
from convscope.layers.proposals import propose

keras = load_keras()
ops = keras.ops
pytestmark = pytest.mark.backend

ODD = np.array([
    [5, 5, 5, 5], [5, 5, 5, 9], [5, 5, 9, 5], [9, 9, 5, 5], [1e4, 1e4, 1e4 + 1e-3, 2e4], [-3, -3, -1, -1], [4, 4, 8, 8],
], np.float32)  # fmt: skip


@pytest.mark.parametrize("loss", [giou, ciou])
@pytest.mark.parametrize("other", [[4, 4, 8, 8], [6, 6, 6, 6]])
def test_boxes_without_area_have_finite_losses_and_gradients(loss: Any, other: list[float]) -> None:
    truth = ops.convert_to_tensor(np.tile(np.asarray(other, np.float32), (len(ODD), 1)))

    def total(tap: Any, values: Any, boxes: Any) -> Any:
        wrong = 1.0 - loss(tap("boxes", boxes), truth)
        return ops.sum(wrong), wrong

    given = ops.convert_to_tensor(ODD)
    wrong, gradients = compile_tapped(total, [], given, differentiate=True)(given)
    pull = to_numpy(gradients["boxes"])
    assert np.isfinite(to_numpy(wrong)).all() and np.isfinite(pull).all()
    assert np.abs(pull[5]).max() > 0  # a box far away is still pulled


def test_the_coder_stays_finite_for_boxes_without_area() -> None:
    moves = to_numpy(encode(ops.convert_to_tensor(ODD), ops.convert_to_tensor(ODD[::-1].copy())))
    assert np.isfinite(moves).all()


def test_smooth_l1_meets_itself_where_it_changes() -> None:
    got = to_numpy(smooth_l1(ops.convert_to_tensor(np.array([0, 0.5, 1, 3], np.float32)), beta=1.0))
    assert np.allclose(got, [0, 0.125, 0.5, 2.5])


def test_points_and_anchors_lie_where_they_should() -> None:
    points, strides = grid_points(((2, 4), (1, 2)), (16, 32))
    assert points[:4, 0].tolist() == [4, 12, 20, 28] and points[4].tolist() == [4, 12]
    assert (
        points[8:].tolist() == [[8, 8], [24, 8]] and strides[0].tolist() == [8, 8] and strides[-1].tolist() == [16, 16]
    )
    anchors = grid_anchors((2, 4), (16, 32), scale=2.0, ratios=(1.0, 4.0))
    assert anchors.shape == (16, 4) and anchors[0].tolist() == [-4, -4, 12, 12]
    assert anchors[1].tolist() == [0, -12, 8, 20]  # four times as high as wide, the same area


def test_the_mean_of_a_sharp_distribution_is_its_place() -> None:
    logits = np.full((1, 1, 4, 16), -50, np.float32)
    for side, place in enumerate((0, 3, 7, 15)):
        logits[0, 0, side, place] = 50
    assert np.allclose(to_numpy(expected_distances(ops.convert_to_tensor(logits.reshape(1, 1, 64)))), [0, 3, 7, 15])


def test_samples_hold_no_more_positives_than_asked_and_say_what_is_empty() -> None:
    matched = np.array([[0, 1, 2, -1, -1, -2, 0, -1], [-2] * 8, [-1] * 8], np.int32)
    noise = np.linspace(0.1, 0.9, 8).astype(np.float32)
    drawn = draw_sample(ops.convert_to_tensor(matched), ops.convert_to_tensor(noise), count=6, positives=2)
    index, valid, positive = (to_numpy(x) for x in drawn)
    assert index[0][:2].tolist() == [6, 2] and positive.sum(axis=1).tolist() == [2, 0, 0]
    assert valid.sum(axis=1).tolist() == [5, 0, 6] and sorted(index[0][2:5].tolist()) == [3, 4, 7]


def test_proposals_are_padded_cut_and_ranked() -> None:
    anchors = [grid_anchors((2, 2), (32, 32), scale=1.0, ratios=(1.0,))]
    logits, deltas = np.array([[3, -1, 2, 0]], np.float32), np.zeros((1, 4, 4), np.float32)
    deltas[0, 2, 0] = -9  # moved out of the frame: nothing is left of it
    boxes, scores = propose(
        *([ops.convert_to_tensor(x)] for x in (logits, deltas)), anchors, frame_hw=(32, 32), after=5
    )
    assert to_numpy(boxes)[0, :3].tolist() == [[0, 0, 16, 16], [16, 16, 32, 32], [16, 0, 32, 16]]
    assert np.allclose(to_numpy(scores)[0], [0.9526, 0.5, 0.2689, 0, 0], atol=1e-4)
    assert (to_numpy(boxes)[0, 3:] == 0).all()


def test_an_unknown_way_of_suppression_names_the_nearest() -> None:
    with pytest.raises(PlanError, match="did you mean soft"):
        suppress(np.zeros((1, 2, 4)), np.zeros((1, 2)), most=1, mode="sft")
