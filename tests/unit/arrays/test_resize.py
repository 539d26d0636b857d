"""Resizing against Pillow, NumPy and a literal loop."""

import numpy as np
import pytest
from PIL import Image

from convscope.arrays.resize import enlarge, reduce_mean, resize_bilinear


@pytest.mark.parametrize(("shape", "target"), [((7, 7), (224, 224)), ((3, 5), (10, 31)), ((1, 1), (4, 6))])
def test_bilinear_enlarging_equals_pillow(shape, target):
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    expected = Image.fromarray(values).resize(target[::-1], Image.Resampling.BILINEAR)
    np.testing.assert_allclose(resize_bilinear(values, *target), np.asarray(expected), atol=1e-5)


def test_enlarge_makes_squares_of_one_value():
    values = np.array([[1, 2], [3, 4]])
    np.testing.assert_array_equal(enlarge(values, 3), np.kron(values, np.ones((3, 3), int)))


@pytest.mark.parametrize("factor", [1, 2, 3, 5])
def test_reduce_mean_equals_a_literal_loop(factor):
    values = np.random.default_rng(1).normal(size=(7, 10))
    expected = [
        [values[r : r + factor, c : c + factor].mean() for c in range(0, 10, factor)] for r in range(0, 7, factor)
    ]
    np.testing.assert_allclose(reduce_mean(values, factor), expected)
