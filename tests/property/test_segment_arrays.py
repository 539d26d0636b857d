"""Windows, outlines and surfaces for any size and shape."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.arrays.polygons import fill_polygon
from convscope.arrays.surface import percentile_hausdorff, surface_distances
from convscope.arrays.window import Sliding, blend_windows, starts
from convscope.metrics.segment_cases import measure_case

few = settings(deadline=None, max_examples=40)


@few
@given(st.integers(1, 200), st.integers(1, 60), st.floats(0, 0.95))
def test_windows_cover_every_pixel_and_stay_inside(length, window, overlap):
    places = starts(length, window, overlap)
    assert places == sorted(set(places)) and places[0] == 0
    covered = np.zeros(max(length, window), bool)
    for place in places:
        covered[place : place + window] = True
        assert place + window <= max(length, window)
    assert covered.all()


@few
@given(
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.sampled_from([0.0, 0.3, 0.5]),
    st.sampled_from(["gaussian", "constant"]),
)
def test_a_network_that_answers_with_its_input_gives_the_picture_back(shape, size, overlap, weights):
    image = np.random.default_rng(0).normal(size=(*shape, 2)).astype("f4")
    flips = ((), (0,), (0, 1))
    out = blend_windows(lambda x: x, image, Sliding(size, overlap, weights, flips), outputs=2)
    np.testing.assert_allclose(out, image, atol=1e-5)


@few
@given(st.lists(st.tuples(st.floats(-20, 60), st.floats(-20, 60)), min_size=3, max_size=9))
def test_outlines_fill_what_winding_twice_leaves_out(points):
    """Even-odd by crossings to the left of each centre, counted one by one."""
    outline, hw = np.array(points) + 0.000123, (12, 14)
    mask = fill_polygon(outline, hw)
    ends = np.roll(outline, -1, axis=0)
    for row in range(hw[0]):
        for column in range(hw[1]):
            x, y, crossings = column + 0.5, row + 0.5, 0
            for (x0, y0), (x1, y1) in zip(outline, ends):
                if (y0 <= y) != (y1 <= y):
                    crossings += x0 + (y - y0) * ((x1 - x0) / (y1 - y0)) <= x
            assert mask[row, column] == (crossings % 2 == 1)


@few
@given(st.integers(0, 10**6), st.floats(0.05, 0.9), st.floats(0.05, 0.9))
def test_distances_and_overlap_know_no_order(seed, share, other):
    chance = np.random.default_rng(seed)
    a, b = chance.random((9, 11)) < share, chance.random((9, 11)) < other
    there, back = surface_distances(a, b, spacing=(2, 0.5)), surface_distances(b, a, spacing=(2, 0.5))
    np.testing.assert_array_equal(there[0], back[1])
    np.testing.assert_equal(percentile_hausdorff(there), percentile_hausdorff(back))
    if a.any() and b.any():
        case = measure_case("x", [(a.astype("u1"), b.astype("u1"))], classes=2)
        turned = measure_case("x", [(b.astype("u1"), a.astype("u1"))], classes=2)
        for name in ("dice", "iou"):
            assert case.ratio(name)[1] == turned.ratio(name)[1]
        dice = case.ratio("dice")[1]
        assert np.isclose(case.ratio("iou")[1], dice / (2 - dice))
