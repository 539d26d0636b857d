"""Bytes, overlays and colours: what is drawn is what was given."""

import io

import numpy as np
import pytest
from PIL import Image

from convscope.draw.colour import VIRIDIS, class_colour, css_gradient, diverging, viridis
from convscope.draw.overlay import overlay
from convscope.draw.png import as_rgb, jpeg_bytes, png_bytes, shrink
from convscope.errors import DataError


def opened(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize("kind", ["few colours", "many colours", "grey"])
def test_png_loses_nothing(kind):
    rng = np.random.default_rng(0)
    picture = {
        "few colours": viridis(rng.random((40, 30)), 0, 1),
        "many colours": rng.integers(0, 256, (40, 30, 3), dtype=np.uint8),
        "grey": rng.integers(0, 256, (40, 30), dtype=np.uint8),
    }[kind]
    np.testing.assert_array_equal(opened(png_bytes(picture)), as_rgb(picture))


def test_palette_makes_maps_small():
    picture = viridis(np.random.default_rng(0).random((112, 112)), 0, 1)
    plain = io.BytesIO()
    Image.fromarray(picture).save(plain, "PNG", optimize=True)
    assert len(png_bytes(picture)) < 0.7 * len(plain.getvalue())


def test_jpeg_and_shrink_keep_the_picture_roughly():
    ramp = np.tile(np.linspace(0, 255, 200), (100, 1))
    assert np.abs(opened(jpeg_bytes(ramp)).astype(int) - as_rgb(ramp)).max() < 12
    assert shrink(ramp, 50).shape == (25, 50, 3)
    assert shrink(ramp, 500).shape == (100, 200, 3)


def test_wrong_shapes_are_refused():
    for shape in [(4,), (4, 4, 2), (0, 4, 3), (1, 4, 4, 3)]:
        with pytest.raises(DataError, match="height, width"):
            as_rgb(np.zeros(shape))


def test_colours_at_the_ends_and_the_middle():
    assert np.array_equal(viridis(np.array([-5.0, 0.0, 9.0]), 0, 4), VIRIDIS[[0, 0, 255]])
    assert np.array_equal(viridis(np.array([3.0]), 3, 3), VIRIDIS[[0]])
    assert diverging(np.array([0.0]), 2).tolist() == [[247, 247, 247]]
    np.testing.assert_array_equal(diverging(np.array([9.0]), 2), diverging(np.array([2.0]), 2))
    assert diverging(np.array([1.0]), 0).tolist() == [[247, 247, 247]]
    assert class_colour(0) == ("#0072b2", False) and class_colour(9) == ("#e69f00", True)
    assert css_gradient("viridis").split(", ")[0] == "#440154"


def test_overlay_is_half_grey_half_heat_at_the_right_place():
    picture = np.full((40, 60, 3), (200, 100, 50), np.uint8)
    heat = np.zeros((4, 6), np.float32)
    heat[0, 5] = 2.0
    found = overlay(picture, heat).astype(float)
    grey = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    np.testing.assert_allclose(found[39, 0], 0.5 * grey + 0.5 * VIRIDIS[0], atol=0.51)
    np.testing.assert_allclose(found[0, 59], 0.5 * grey + 0.5 * VIRIDIS[255], atol=0.51)
    signed_heat = np.where(heat > 0, -2.0, 0.0)
    signed_found = overlay(picture, signed_heat, signed=True).astype(float)
    np.testing.assert_allclose(signed_found[0, 59], 0.5 * grey + 0.5 * np.array([5, 48, 97]), atol=0.51)


def test_overlay_with_a_common_limit_compares_strengths():
    picture, weak = np.zeros((8, 8, 3), np.uint8), np.full((2, 2), 1.0)
    np.testing.assert_allclose(overlay(picture, weak, limit=2.0)[0, 0], VIRIDIS[128] / 2, atol=1)
