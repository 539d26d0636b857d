"""Fitting: exact maps back to the picture, the range kept, Pillow and closed forms as oracles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from convscope.data.fit import fit_picture
from convscope.records.geometry import Preprocess
from convscope.records.samples import Picture

SIDES = st.integers(1, 70)
FITS = st.sampled_from(["letterbox", "crop", "stretch"])


def picture(high: int, wide: int, dtype: str, channels: int = 3, seed: int = 0) -> Picture:
    values = np.random.default_rng(seed).integers(0, 256, (high, wide, channels)).astype(dtype)
    return Picture(values, (high, wide))


@settings(deadline=None, max_examples=120)
@given(SIDES, SIDES, SIDES, SIDES, FITS, st.sampled_from(["uint8", "float32"]), st.sampled_from([1, 3, 4]))
def test_shape_dtype_range_and_round_trip(
    high: int, wide: int, rows: int, columns: int, fit: str, dtype: str, channels: int
) -> None:
    source = picture(high, wide, dtype, channels)
    frame, place = fit_picture(source, Preprocess(rows, columns, channels, fit, fill=128.0))
    assert frame.shape == (rows, columns, channels) and frame.dtype == dtype
    assert frame.min() >= min(source.values.min(), 128) - 1e-3 and frame.max() <= max(source.values.max(), 128) + 1e-3
    points = np.array([[0.0, 0.0], [high / 2, wide / 2], [float(high), float(wide)]])
    np.testing.assert_allclose(place.to_picture(place.to_network(points)), points, atol=1e-9)
    corners = place.to_network(points[[0, 2]])
    middle = place.to_network(points[1])
    if fit == "letterbox":
        assert (corners >= -1e-9).all() and (corners <= np.array([rows, columns]) + 1e-9).all()
        assert (corners[1] - corners[0] >= 1 - 1e-9).all(), "at least one pixel is kept"
        np.testing.assert_allclose(middle, [rows / 2, columns / 2], atol=0.51)
    elif fit == "crop":
        assert (corners[0] <= 1e-9).all() and (corners[1] >= np.array([rows, columns]) - 1e-9).all()
        np.testing.assert_allclose(middle, [rows / 2, columns / 2], atol=1e-9)
        assert place.scale_yx[0] == place.scale_yx[1]
    else:
        np.testing.assert_allclose(corners, [[0, 0], [rows, columns]], atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(SIDES, SIDES, SIDES, SIDES)
def test_stretch_equals_pillow(high: int, wide: int, rows: int, columns: int) -> None:
    source = picture(high, wide, "uint8")
    theirs = Image.fromarray(source.values).resize((columns, rows), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(fit_picture(source, Preprocess(rows, columns, 3, "stretch"))[0], np.asarray(theirs))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(2, 6))
def test_letterbox_of_a_whole_reduction_is_padding_around_it(high: int, wide: int, factor: int) -> None:
    """Fill above, below, left and right; the inner part is Pillow's reduction of the whole picture."""
    source = picture(high * factor, wide * factor, "float32", 1)
    side = max(high, wide)
    frame, place = fit_picture(source, Preprocess(side, side, 1, "letterbox", fill=-1.0))
    top, left = (int(s) for s in place.shift_yx)
    inner = frame[top : top + high, left : left + wide, 0]
    theirs = Image.fromarray(source.values[:, :, 0]).resize((wide, high), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(inner, np.asarray(theirs), rtol=1e-6)
    assert (frame == -1).sum() == side * side - high * wide
    assert place.scale_yx == (1 / factor, 1 / factor)


def test_edges_land_where_the_map_says() -> None:
    """A bright block is found, after fitting, where to_network puts its corners."""
    values = np.zeros((200, 100, 1), np.float32)
    values[40:120, 20:60] = 255
    for fit in ("letterbox", "crop", "stretch"):
        frame, place = fit_picture(Picture(values, (200, 100)), Preprocess(50, 50, 1, fit))
        top_left, bottom_right = place.to_network(np.array([[40.0, 20.0], [120.0, 60.0]]))
        rows = np.flatnonzero(frame[:, :, 0].max(axis=1) > 127)
        columns = np.flatnonzero(frame[:, :, 0].max(axis=0) > 127)
        np.testing.assert_allclose([rows[0], columns[0]], np.maximum(top_left, 0), atol=1)
        np.testing.assert_allclose([rows[-1] + 1, columns[-1] + 1], np.minimum(bottom_right, 50), atol=1)


@pytest.mark.parametrize("fit", ["letterbox", "crop", "stretch"])
def test_a_reduced_picture_gives_the_same_map_and_nearly_the_same_frame(fit: str) -> None:
    rows, columns = np.mgrid[0:240, 0:320]
    smooth = (127 + 100 * np.sin(rows / 30) * np.cos(columns / 40)).astype(np.float32)[:, :, None]
    whole = Picture(smooth, (240, 320))
    half = Picture(smooth.reshape(120, 2, 160, 2, 1).mean(axis=(1, 3)), (240, 320))
    ours, other = (fit_picture(p, Preprocess(64, 64, 1, fit)) for p in (whole, half))
    assert ours[1] == other[1]
    assert np.abs(ours[0] - other[0]).mean() < 1


@pytest.mark.parametrize(("shape", "inner"), [((1, 60000), (1, 64)), ((60000, 1), (64, 1)), ((1, 1), (64, 64))])
def test_strips_keep_one_pixel(shape: tuple[int, int], inner: tuple[int, int]) -> None:
    frame, _ = fit_picture(Picture(np.full((*shape, 3), 200, np.uint8), shape), Preprocess(64, 64))
    assert (frame == 200).all(axis=2).sum() == inner[0] * inner[1]


def test_native_and_as_is_are_untouched() -> None:
    source = picture(9, 7, "float32", 5)
    for fit in ("native", "as-is"):
        frame, place = fit_picture(source, Preprocess(None, None, 5, fit))
        assert frame is source.values and place.scale_yx == (1.0, 1.0)
