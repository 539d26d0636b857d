"""Polygons: exact shapes, and scikit-image and pycocotools beside."""

import numpy as np
import pytest

from convscope.arrays.polygons import fill_polygon, fill_polygons


def test_whole_picture_and_half_of_it():
    assert fill_polygon(np.array([[0, 0], [7, 0], [7, 5], [0, 5]]), (5, 7)).all()
    left = fill_polygon(np.array([[0, 0], [3, 0], [3, 5], [0, 5]]), (5, 7))
    assert left[:, :3].all() and not left[:, 3:].any()


def test_parts_outside_are_cut_off():
    mask = fill_polygon(np.array([[-9, -9], [3.2, -9], [3.2, 2], [-9, 2]]), (5, 7))
    assert mask[:2, :3].all() and mask.sum() == 6


def test_a_star_has_a_hole_by_the_even_odd_rule_and_parts_unite():
    angles = np.arange(5) * 4 * np.pi / 5
    star = np.stack([20 + 18 * np.sin(angles), 20 - 18 * np.cos(angles)], axis=1)
    assert not fill_polygon(star, (40, 40))[20, 20]
    square = np.array([[15.0, 15], [25, 15], [25, 25], [15, 25]])
    assert fill_polygons([star, square], (40, 40))[20, 20]


@pytest.mark.parametrize("outline", [[[3, 3], [3, 3]], [[1, 2]], [[0, 0], [9, 0], [4, 0]]])
def test_no_area_no_pixel(outline):
    assert not fill_polygon(np.array(outline, float), (8, 8)).any()


def test_equals_scikit_image_for_any_outline_that_meets_no_centre():
    from skimage.draw import polygon2mask

    chance = np.random.default_rng(5)
    for n in (3, 4, 7, 20):
        outline = chance.uniform(-5, 45, (n, 2)) + 0.0123
        theirs = polygon2mask((40, 44), outline[:, ::-1] - 0.5)
        np.testing.assert_array_equal(fill_polygon(outline, (40, 44)), theirs)


def test_near_pycocotools():
    """pycocotools rounds outlines to fifths of a pixel: the same but for pixels along the sides."""
    coco = pytest.importorskip("pycocotools.mask")
    angles = np.linspace(0, 2 * np.pi, 30, endpoint=False)
    outline = np.stack([50 + 40 * np.cos(angles), 45 + 30 * np.sin(angles)], axis=1)
    theirs = coco.decode(coco.frPyObjects([outline.ravel().tolist()], 90, 100))[:, :, 0] > 0
    ours = fill_polygon(outline, (90, 100))
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.97
    from convscope.arrays.surface import inner_edge

    assert not (ours ^ theirs)[~(inner_edge(ours) | inner_edge(~ours) | inner_edge(theirs))].any()
