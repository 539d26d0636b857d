"""convscope.models.unet_3d: every voxel answered, seen along all axes; what it can't be built of."""

import numpy as np
import pytest

from convscope.errors import PlanError
from convscope.models.segmenter import SegmenterOptions
from convscope.models.segmenters import build_segmenter

pytestmark = pytest.mark.backend


def test_every_voxel_is_answered_and_sees_its_neighbours_along_all_axes() -> None:
    options = SegmenterOptions(depth=2, width=4, slices=5, norm="none", dropout=0.0)
    model = build_segmenter("unet-3d", 3, frame_hw=(13, 10), options=options).model
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 13, 10, 5)).astype(np.float32)
    said = np.asarray(model.predict_on_batch(pixels))
    assert said.shape == (2, 13, 10, 5, 3)
    np.testing.assert_allclose(said.sum(-1), 1, atol=1e-5)
    changed = pixels.copy()
    changed[0, 6, 5, 0] += 100
    moved = np.abs(np.asarray(model.predict_on_batch(changed)) - said).max(axis=-1)
    assert (moved[0].max(axis=(0, 1)) > 1e-6).all(), "one pixel of the first slice reaches every slice"
    assert moved[1].max() < 1e-5


def test_what_it_cannot_be_built_of_is_refused() -> None:
    with pytest.raises(PlanError, match="without a backbone"):
        build_segmenter("unet-3d+resnet50", 2, frame_hw=(16, 16))
    with pytest.raises(PlanError, match="at least 2 slices"):
        build_segmenter("unet-3d", 2, frame_hw=(16, 16), options=SegmenterOptions(slices=1, depth=1))
