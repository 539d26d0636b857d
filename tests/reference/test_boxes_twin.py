"""The detectors' arithmetic against literal twins: coder, overlaps, losses, suppression, RoIAlign, assignment."""

from __future__ import annotations

import numpy as np
import pytest

from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.layers import assign, boxes, detection_losses, nms, roi_align
from reference import boxes_twin as twin

keras = load_keras()

pytestmark = pytest.mark.backend


def random_boxes(rng: np.random.Generator, *shape: int, side: float = 60.0) -> np.ndarray:
    low = rng.uniform(0, side, (*shape, 2))
    return np.concatenate([low, low + rng.uniform(2, side / 2, (*shape, 2))], axis=-1).astype(np.float32)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_overlaps_of_every_pair(rng: np.random.Generator) -> None:
    a, b = random_boxes(rng, 9), random_boxes(rng, 5)
    a[0, 2:] = a[0, :2]  # no area
    got = to_numpy(boxes.pairwise_iou(keras.ops.convert_to_tensor(a), keras.ops.convert_to_tensor(b)))
    assert np.allclose(got, [[twin.iou(x, y) for y in b] for x in a], atol=1e-6)


def test_giou_and_ciou(rng: np.random.Generator) -> None:
    a, b = random_boxes(rng, 30), random_boxes(rng, 30)
    a[0] = b[0]
    for ours, theirs in ((detection_losses.giou, twin.giou), (detection_losses.ciou, twin.ciou)):
        got = to_numpy(ours(keras.ops.convert_to_tensor(a), keras.ops.convert_to_tensor(b)))
        assert np.allclose(got, [theirs(x, y) for x, y in zip(a.astype(float), b.astype(float))], atol=1e-5)
        assert got[0] == pytest.approx(1, abs=1e-6)


def test_the_box_coder_and_its_inverse(rng: np.random.Generator) -> None:
    a, b, deviations = random_boxes(rng, 40), random_boxes(rng, 40), (0.1, 0.1, 0.2, 0.2)
    moves = boxes.encode(keras.ops.convert_to_tensor(b), keras.ops.convert_to_tensor(a), deviations)
    wanted = [twin.encode(x, y, deviations) for x, y in zip(b.astype(float), a.astype(float))]
    assert np.allclose(to_numpy(moves), wanted, atol=1e-4)
    assert np.allclose(to_numpy(boxes.decode(moves, keras.ops.convert_to_tensor(a), deviations)), b, atol=1e-3)


def test_distribution_focal_loss(rng: np.random.Generator) -> None:
    logits, wanted = rng.normal(size=(20, 16)), rng.uniform(0, 14.9, 20)
    wanted[:2] = 0, 14
    got = detection_losses.distribution_focal(
        keras.ops.convert_to_tensor(logits.astype("float32")), keras.ops.convert_to_tensor(wanted.astype("float32"))
    )
    expected = [twin.distribution_focal(row, d) for row, d in zip(logits, wanted)]
    assert np.allclose(to_numpy(got), expected, atol=1e-4)


@pytest.mark.parametrize("mode", ["class-wise", "agnostic"])
def test_greedy_suppression(rng: np.random.Generator, mode: str) -> None:
    box, labels = random_boxes(rng, 2, 80, side=40), rng.integers(0, 3, (2, 80))
    scores = np.round(rng.uniform(0, 1, (2, 80)), 1).astype(np.float32)  # many ties
    kept = nms.suppress(*(keras.ops.convert_to_tensor(x) for x in (box, scores, labels)), most=80,
                        iou_threshold=0.4, score_threshold=0.15, mode=mode)  # fmt: skip
    for row in range(2):
        wanted = twin.greedy_nms(box[row], scores[row], labels[row], threshold=0.4, least=0.15,
                                 agnostic=mode == "agnostic")  # fmt: skip
        valid = to_numpy(kept.valid)[row]
        assert to_numpy(kept.index)[row][valid].tolist() == wanted
        assert valid.sum() == len(wanted) and (to_numpy(kept.score)[row][~valid] == -1).all()


def test_a_long_chain_of_overlaps_settles() -> None:
    """Each box overlaps only its neighbours: every second one stays, which takes as many rounds as boxes."""
    left = np.arange(40, dtype=np.float32) * 4
    box = np.stack([left, 0 * left, left + 10, 0 * left + 10], axis=-1)[None]
    scores = np.linspace(1, 0.5, 40, dtype=np.float32)[None]
    kept = nms.suppress(keras.ops.convert_to_tensor(box), keras.ops.convert_to_tensor(scores), most=50,
                        iou_threshold=0.3)  # fmt: skip
    assert to_numpy(kept.index)[0][to_numpy(kept.valid)[0]].tolist() == list(range(0, 40, 2))


def test_soft_suppression(rng: np.random.Generator) -> None:
    box, labels = random_boxes(rng, 1, 30, side=30), rng.integers(0, 2, (1, 30))
    scores = rng.uniform(0.05, 1, (1, 30)).astype(np.float32)
    kept = nms.suppress(*(keras.ops.convert_to_tensor(x) for x in (box, scores, labels)), most=20,
                        score_threshold=0.1, mode="soft")  # fmt: skip
    wanted = twin.soft_nms(box[0], scores[0], labels[0], sigma=0.5, least=0.1, most=20)
    valid = to_numpy(kept.valid)[0]
    assert to_numpy(kept.index)[0][valid].tolist() == [i for i, _ in wanted]
    assert np.allclose(to_numpy(kept.score)[0][valid], [s for _, s in wanted], atol=1e-5)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("sampling", [1, 2, 3])
def test_roi_align(rng: np.random.Generator, aligned: bool, sampling: int) -> None:
    features = rng.normal(size=(2, 7, 9, 3)).astype(np.float32)
    box = random_boxes(rng, 2, 5, side=60) - 6  # some stick out
    scale = (7 / 56, 9 / 72)
    got = to_numpy(roi_align.roi_align(keras.ops.convert_to_tensor(features), keras.ops.convert_to_tensor(box),
                                       scale_yx=scale, size=4, sampling=sampling, aligned=aligned))  # fmt: skip
    for n in range(2):
        for r in range(5):
            wanted = twin.roi_align(features[n], box[n, r], scale=scale, size=4, sampling=sampling, aligned=aligned)
            assert np.allclose(got[n, r], wanted, atol=1e-5)


def test_each_box_is_read_from_the_map_of_its_size(rng: np.random.Generator) -> None:
    maps = [np.full((1, side, side, 1), k, np.float32) for k, side in enumerate((64, 32, 16))]
    sides = (60, 223, 225, 447, 449, 500)  # 224 pixels is where stride 16 begins
    box = np.array([[[0, 0, side, side] for side in sides]], np.float32)
    got = roi_align.pyramid_roi_align([keras.ops.convert_to_tensor(m) for m in maps], keras.ops.convert_to_tensor(box),
                                      frame_hw=(512, 512))  # fmt: skip
    assert np.allclose(to_numpy(got)[0, :, 3, 3, 0], [0, 0, 1, 1, 2, 2], atol=1e-5)


def test_task_aligned_assignment(rng: np.random.Generator) -> None:
    grid = np.stack(np.meshgrid(np.arange(4, 64, 8), np.arange(4, 64, 8)), -1).reshape(-1, 2).astype(np.float32)
    truth, labels = random_boxes(rng, 2, 4, side=40), np.array([[0, 2, 1, -1], [1, 1, 0, 2]])
    truth[1, 3] = [30, 30, 31, 31]  # smaller than a cell
    around = np.concatenate([grid - 12, grid + 12], -1)
    predicted = (around + rng.normal(size=(2, 64, 4)) * 4).astype(np.float32)
    scores = rng.uniform(0.01, 0.9, (2, 64, 3)).astype(np.float32)
    settings = {"cell": 8.0, "best": 4, "alpha": 0.5, "beta": 6.0}
    found = assign.task_aligned(*(keras.ops.convert_to_tensor(x) for x in (scores, predicted, truth, labels)),
                                points=keras.ops.convert_to_tensor(grid), **settings)  # fmt: skip
    for n in range(2):
        index, weight = twin.task_aligned(scores[n], predicted[n], truth[n], labels[n], points=grid, **settings)
        assert to_numpy(found.index)[n].tolist() == index.tolist()
        assert np.allclose(to_numpy(found.weight)[n], weight, atol=1e-4)
        assert (index >= 0).sum() >= 8


@pytest.mark.parametrize("each_object", [True, False])
def test_matching_by_overlap(rng: np.random.Generator, each_object: bool) -> None:
    anchors, truth = random_boxes(rng, 50, side=40), random_boxes(rng, 2, 5, side=40)
    labels = np.array([[0, 1, 2, -1, -1], [-1] * 5])
    got = to_numpy(assign.match_by_overlap(*(keras.ops.convert_to_tensor(x) for x in (anchors[None], truth, labels)),
                                           positive=0.6, negative=0.3, each_object=each_object))  # fmt: skip
    for n in range(2):
        wanted = twin.match_by_overlap(anchors, truth[n], labels[n], positive=0.6, negative=0.3,
                                       each_object=each_object)  # fmt: skip
        assert got[n].tolist() == wanted
    assert (got[0] >= 0).any() and (got[0] == -2).any() and (got[1] == -1).all()
