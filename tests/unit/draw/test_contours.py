"""Masks over pictures, and strips through volumes."""

import io

import numpy as np
import pytest
from PIL import Image

from convscope.arrays.orientation import Grid
from convscope.draw.contours import mask_colours, mask_overlay
from convscope.draw.volume import volume_strip
from convscope.errors import DataError
from convscope.records.masks import VOID


def test_outline_tint_dash_and_void():
    picture = np.full((40, 50, 1), 100, np.uint8)
    found, truth = np.zeros((40, 50), np.uint8), np.zeros((40, 50), np.uint8)
    found[5:20, 5:20] = 1
    truth[10:30, 25:45] = 2
    truth[35:] = VOID
    drawn = mask_overlay(picture, found, truth, classes=3, longest_px=50)
    blue = mask_colours(3)[1]
    assert (drawn[5, 5] == blue).all() and (drawn[19, 12] == blue).all()
    np.testing.assert_allclose(drawn[12, 12], 0.72 * 100 + 0.28 * blue, atol=1)
    edge = {tuple(p) for p in drawn[10, 25:45].tolist()}
    assert edge == {(255, 255, 255), (0, 0, 0)}
    assert (drawn[20, 35] == 100).all() and (drawn[2, 2] == 100).all()
    assert 0.2 < (drawn[35:] == 128).all(axis=2).mean() < 0.5
    assert (mask_overlay(picture, None, None, classes=3, longest_px=50) == 100).all()


def test_small_pictures_are_enlarged_by_a_whole_factor():
    drawn = mask_overlay(np.zeros((30, 40), np.uint8), np.ones((30, 40), np.uint8), classes=2, longest_px=170)
    assert drawn.shape == (120, 160, 3)
    assert len(np.unique(mask_colours(9)[1:], axis=0)) == 8


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(DataError, match="found mask of"):
        mask_overlay(np.zeros((30, 40)), np.zeros((30, 41), np.uint8), classes=2)


def test_strip_shows_three_planes_in_true_proportions():
    grid = Grid((20, 30, 10), np.diag([-1.0, -1.0, 4.0, 1.0]))
    shown = np.zeros((20, 30, 10), np.float32)
    truth = np.zeros((20, 30, 10), np.uint8)
    truth[4:8, 10:14, 6:9] = 1
    shown[4:8, 10:14, 6:9] = 255
    sheets = volume_strip(shown, grid, truth=truth, classes=2, places=2, name="study-1")
    assert [s.title for s in sheets] == ["axial", "coronal", "sagittal"]
    axial, coronal, sagittal = (s.tiles for s in sheets)
    assert (axial[0].width_px, axial[0].height_px) == (117, 176)  # 20 x 30 mm
    assert (coronal[0].width_px, coronal[0].height_px) == (88, 176)  # 20 x 40 mm
    assert (sagittal[0].width_px, sagittal[0].height_px) == (132, 176)  # 30 x 40 mm
    assert axial[0].head == "axial 7" and coronal[0].head == "coronal 11" and sagittal[-1].head == "sagittal 6"
    picture = np.asarray(Image.open(io.BytesIO(axial[0].image)).convert("L")).astype(int)
    rows, columns = np.nonzero(picture > 200)
    assert abs(rows.mean() / 176 - 12 / 30) < 0.03 and abs(columns.mean() / 117 - 6 / 20) < 0.03
    assert "study-1 axial 7 of 10" in axial[0].alt
    assert len(volume_strip(shown, grid)[0].tiles) == 3  # nothing marked: the inner half
