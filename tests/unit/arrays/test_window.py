"""The sliding window: coverage, a literal twin, memory, flips, refusals."""

import numpy as np
import pytest

from convscope.arrays.window import Sliding, blend_windows, blended_rows, starts, window_weights
from convscope.errors import PlanError


def literal(predict, image, sliding, outputs):
    """Every window by itself, float64, all in memory."""
    import itertools

    axes = len(sliding.size)
    short = [max(0, w - n) for n, w in zip(image.shape, sliding.size)]
    padded = np.pad(image, [*((s // 2, s - s // 2) for s in short), (0, 0)])
    total = np.zeros((*padded.shape[:axes], outputs))
    weight = np.zeros((*padded.shape[:axes], 1))
    w = window_weights(sliding.size, sliding.weights)[..., None].astype(float)
    for corner in itertools.product(*(starts(n, s, sliding.overlap) for n, s in zip(padded.shape, sliding.size))):
        place = tuple(slice(c, c + s) for c, s in zip(corner, sliding.size))
        looks = [np.flip(predict(np.flip(padded[place], f)[None])[0], f) for f in sliding.flips]
        total[place] += np.mean(looks, axis=0) * w
        weight[place] += w
    inside = tuple(slice(s // 2, s // 2 + n) for s, n in zip(short, image.shape))
    return (total / weight)[inside]


CASES = [
    ((37, 50), (16, 20), 0.5, "gaussian", ((),)),
    ((10, 50), (16, 20), 0.25, "gaussian", ((), (0,), (1,), (0, 1))),
    ((16, 20), (16, 20), 0.9, "constant", ((),)),
    ((20, 23, 17), (8, 9, 20), 0.5, "constant", ((), (2,))),
    ((20, 23, 17), (8, 8, 8), 0.6, "gaussian", ((),)),
]


@pytest.mark.parametrize(("shape", "size", "overlap", "weights", "flips"), CASES)
def test_literal_twin_in_any_budget(shape, size, overlap, weights, flips):
    chance = np.random.default_rng(0)
    image = chance.normal(size=(*shape, 2)).astype("f4")
    mix, place = chance.normal(size=(2, 3)).astype("f4"), chance.normal(size=(*size, 1)).astype("f4")

    def predict(x):
        return (x @ mix) * place

    expected = literal(predict, image, Sliding(size, overlap, weights, flips), 3)
    for budget in (300_000, 1 << 30):
        sliding = Sliding(size, overlap, weights, flips, budget)
        ours = blend_windows(predict, image, sliding, outputs=3)
        np.testing.assert_allclose(ours, expected, atol=2e-5)


# sliding_window_inference of MONAI 1.6.1, mode gaussian, overlap 0.5, roi (4, 5): image[i, j] = 10 i + j over (7, 9),
# the "network" multiplies each window by its own row number + 1
MONAI_ROW_3 = [65.3337, 62.5477, 64.6108, 66.5831, 68.6964, 70.6184, 72.6872, 74.6537, 82.756]


def test_starts_and_weights_follow_monai():
    image = (10 * np.arange(7)[:, None] + np.arange(9)[None]).astype("f4")[..., None]
    row = np.arange(1, 5, dtype="f4")[None, :, None, None]
    out = blend_windows(lambda x: x * row, image, Sliding((4, 5)), outputs=1)
    np.testing.assert_allclose(out[3, :, 0], MONAI_ROW_3, atol=1e-3)
    assert starts(10, 4, 0.5) == [0, 2, 4, 6]
    assert starts(11, 4, 0.25) == [0, 3, 6, 7]
    assert starts(3, 4, 0.5) == [0]
    assert starts(5, 4, 0.99) == [0, 1]
    weights = window_weights((3, 8), "gaussian")
    assert weights.min() == pytest.approx(1e-3)
    assert weights[1, 3] == pytest.approx(np.exp(-0.125), rel=1e-6)


@pytest.mark.parametrize("n", range(1, 40))
@pytest.mark.parametrize("overlap", [0, 0.3, 0.75])
def test_every_pixel_is_covered_and_a_constant_stays_one(n, overlap):
    sliding = Sliding((7,), overlap)
    out = blend_windows(lambda x: np.ones((*x.shape[:-1], 1)), np.zeros((n, 1), "f4"), sliding, outputs=1)
    np.testing.assert_allclose(out, 1, atol=1e-6)


def test_rows_come_once_in_order_and_the_batch_has_one_size():
    seen = []

    def predict(x):
        seen.append(len(x))
        return x

    image = np.arange(40 * 6, dtype="f4").reshape(40, 6, 1)
    sliding = Sliding((8, 6), 0.5, budget_bytes=4500)
    pieces = list(blended_rows(predict, image, sliding, outputs=1))
    assert len(pieces) > 1 and len(set(seen)) == 1
    assert [first for first, _ in pieces] == list(np.cumsum([0] + [len(rows) for _, rows in pieces])[:-1])
    np.testing.assert_allclose(np.concatenate([rows for _, rows in pieces]), image, rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"size": (0, 4)}, "at least 1 pixel"),
        ({"size": (4, 4), "overlap": 1.0}, "overlap from 0"),
        ({"size": (4, 4), "flips": ((2,),)}, "axes 0 to 1"),
        ({"size": (4, 4), "flips": ()}, "flips"),
        ({"size": (4, 4), "weights": "cosine"}, "gaussian"),
    ],
)
def test_refusals(wrong, words):
    with pytest.raises(PlanError, match=words):
        Sliding(**wrong)


def test_a_budget_too_small_says_what_is_needed():
    with pytest.raises(PlanError, match="budget of at least"):
        blend_windows(lambda x: x, np.zeros((64, 64, 1), "f4"), Sliding((32, 32), budget_bytes=100), outputs=1)
    with pytest.raises(PlanError, match="2 axes"):
        blend_windows(lambda x: x, np.zeros((64, 64, 4, 1), "f4"), Sliding((32, 32)), outputs=1)
