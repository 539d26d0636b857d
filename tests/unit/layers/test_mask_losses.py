"""Losses on masks against literal twins, and what void pixels may change: nothing."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from convscope.backend.tensors import to_numpy
from convscope.errors import PlanError
from convscope.layers.mask_losses import MaskLoss, mask_loss
from convscope.layers.mask_metric import MaskIoU
from convscope.records.masks import VOID

pytestmark = pytest.mark.backend

N, H, W, K = 3, 7, 9, 4


@pytest.fixture
def case() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(8)
    truth = rng.integers(0, K - 1, (N, H, W)).astype(np.int32)  # the last class never occurs
    truth[0, :2] = VOID
    raw = np.exp(rng.normal(size=(N, H, W, K)))
    return truth, (raw / raw.sum(axis=-1, keepdims=True)).astype(np.float32)


def literal(name: str, truth: np.ndarray, said: np.ndarray, weights: list[float]) -> float:
    """Pixel by pixel, in float64."""
    values = []
    for mask, p in zip(truth, said.astype(np.float64)):
        if name in ("cross_entropy", "focal"):
            terms = [
                -weights[c] * np.log(p[y, x, c]) * ((1 - p[y, x, c]) ** 2 if name == "focal" else 1)
                for y in range(H) for x in range(W) if (c := mask[y, x]) != VOID
            ]  # fmt: skip
            values.append(np.mean(terms))
            continue
        missed = {"dice": 0.5, "tversky": 0.7}[name]
        per_class = []
        for c in range(K):
            tp = fn = fp = 0.0
            for y in range(H):
                for x in range(W):
                    if mask[y, x] == VOID:
                        continue
                    is_c = mask[y, x] == c
                    tp += p[y, x, c] * is_c
                    fn += (1 - p[y, x, c]) * is_c
                    fp += p[y, x, c] * (not is_c)
            per_class.append(weights[c] * (1 - (2 * tp + 1e-5) / (2 * (tp + missed * fn + (1 - missed) * fp) + 1e-5)))
        values.append(np.sum(per_class) / np.sum(weights))
    return float(np.mean(values))


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "dice", "tversky"])
@pytest.mark.parametrize("weights", [[1.0] * K, [0.5, 2.0, 1.0, 3.0]])
def test_parts_equal_their_literal_twins(name: str, weights: list[float], case: tuple) -> None:
    truth, said = case
    loss = float(to_numpy(mask_loss(name, K, class_weights=np.array(weights))(truth, said)))
    assert loss == pytest.approx(literal(name, truth, said, weights), rel=2e-6)


def test_a_sum_is_the_sum(case: tuple) -> None:
    truth, said = case
    parts = [float(to_numpy(mask_loss(n, K)(truth, said))) for n in ("cross_entropy", "dice", "boundary")]
    assert float(to_numpy(mask_loss("cross_entropy+dice+boundary", K)(truth, said))) == pytest.approx(sum(parts))


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "dice", "tversky", "boundary"])
def test_void_pixels_change_nothing(name: str, case: tuple) -> None:
    truth, said = case
    other = said.copy()
    other[0, :2] = np.roll(said[0, :2], 1, axis=-1)
    loss = mask_loss(name, K)
    assert float(to_numpy(loss(truth, other))) == pytest.approx(float(to_numpy(loss(truth, said))), abs=1e-6)


@pytest.mark.parametrize(("name", "monai"), [("dice", 0.661133348941803), ("tversky", 0.6608272194862366)])
def test_they_are_monais(name: str, monai: float) -> None:
    """What MONAI 1.6.1's DiceLoss, and TverskyLoss with alpha 0.3 and beta 0.7, give for the same numbers."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, (2, 6, 5))
    raw = np.exp(rng.normal(size=(2, 6, 5, 3)))
    said = (raw / raw.sum(-1, keepdims=True)).astype(np.float32)
    assert float(to_numpy(mask_loss(name, 3)(truth, said))) == pytest.approx(monai, rel=2e-6)


@pytest.mark.parametrize("name", ["dice", "tversky", "cross_entropy", "focal"])
def test_perfect_is_nought_and_wrong_is_large(name: str) -> None:
    truth = np.zeros((1, 12, 12), np.int32)
    truth[0, 3:9, 4:8] = 1
    perfect = np.eye(2, dtype=np.float32)[truth]
    assert float(to_numpy(mask_loss(name, 2)(truth, perfect))) == pytest.approx(0, abs=1e-4)
    assert float(to_numpy(mask_loss(name, 2)(truth, perfect[..., ::-1].copy()))) > 0.3


def test_boundary_prefers_the_nearer_edge() -> None:
    truth = np.zeros((1, 20, 20), np.int32)
    truth[0, 5:15, 5:15] = 1
    losses = []
    for shift in (0, 2, 5):
        said = np.roll(np.eye(2, dtype=np.float32)[truth], shift, axis=2)
        losses.append(float(to_numpy(mask_loss("boundary", 2)(truth, said))))
    assert losses[0] < losses[1] < losses[2]


def test_it_is_saved_and_read(case: tuple) -> None:
    truth, said = case
    loss = mask_loss("dice+focal", K, class_weights=np.arange(1, K + 1))
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(again, MaskLoss)
    assert float(to_numpy(again(truth, said))) == float(to_numpy(loss(truth, said)))


def test_an_unknown_part_is_named() -> None:
    with pytest.raises(PlanError, match="did you mean dice"):
        mask_loss("dise", 2)


def test_mean_iou_over_batches_with_void(case: tuple) -> None:
    """Against sets of pixels, over two updates; the class that is nowhere counts in no mean."""
    truth, said = case
    metric = MaskIoU(K)
    metric.update_state(truth[:2], said[:2])
    metric.update_state(truth[2:], said[2:])
    answer, valid = said.argmax(-1), truth != VOID
    ratios = []
    for c in range(K):
        both, either = (truth == c) & (answer == c) & valid, ((truth == c) | (answer == c)) & valid
        if either.any():
            ratios.append(both.sum() / either.sum())
    assert float(to_numpy(metric.result())) == pytest.approx(np.mean(ratios), rel=1e-6)
    metric.reset_state()
    assert float(to_numpy(metric.result())) == 0
