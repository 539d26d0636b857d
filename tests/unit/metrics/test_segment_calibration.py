"""Pixels counted picture by picture give what all of them give at once."""

from __future__ import annotations

import numpy as np

from convscope.metrics.calibrate import expected_calibration_error, reliability_bins
from convscope.metrics.segment_calibration import PixelBins
from convscope.records.masks import VOID


def test_pixels_add_up_to_the_table_of_all_and_void_counts_nowhere() -> None:
    rng = np.random.default_rng(3)
    maps = rng.dirichlet((1, 1, 1), (4, 20, 30)).astype(np.float32)
    truth = rng.integers(0, 3, (4, 20, 30)).astype(np.uint8)
    truth[1, :5] = VOID
    bins = PixelBins()
    for one, mask in zip(maps, truth, strict=True):
        bins.add(one, mask)
    known = truth != VOID
    sure, right = maps.max(axis=-1)[known], maps.argmax(axis=-1)[known] == truth[known]
    expected = reliability_bins(sure, right)
    found = bins.table()
    assert found is not None and found["count"] == expected["count"]
    np.testing.assert_allclose(found["confidence"], expected["confidence"], rtol=1e-9)
    np.testing.assert_allclose(found["accuracy"], expected["accuracy"], rtol=1e-9)
    assert np.isclose(bins.error(), expected_calibration_error(sure, right))
    assert PixelBins().table() is None
