"""Surface distances: MONAI's published values, and a literal twin."""

import numpy as np
import pytest

from convscope.arrays.surface import (
    box_of,
    inner_edge,
    mean_surface_distance,
    percentile_hausdorff,
    surface_distances,
)


def ball(radius, centre, spacing=(1.0, 1.0, 1.0), n=99):
    grid = np.indices((n, n, n))
    return sum((grid[i] * spacing[i] - centre[i]) ** 2 for i in range(3)) <= radius**2


S = (0.85, 1.2, 0.9)
# MONAI, tests/metrics/test_hausdorff_distance.py and test_surface_distance.py: symmetric values
MONAI = [
    ((20, (49, 49, 49)), (20, (49, 49, 49)), None, {"hd": 0.0, "mean": 0.0}),
    ((20, (20, 20, 20)), (20, (19, 19, 19)), None, {"hd": 1.7320508075688772}),
    ((33, (19, 33, 22)), (33, (20, 33, 22)), None, {"hd": 1.0, "mean": 0.350217}),
    (
        (20, (20, 33, 22)),
        (40, (20, 33, 22)),
        None,
        {"hd": 20.223748416156685, "hd95": 20.09975124224178, "directed95": 19.924858845171276, "mean": 15.117741,
         "one_way": 12.040033513150455},
    ),
    ((20, (20, 20, 20)), (20, (19, 19, 19)), S, {"hd": 2.2671568, "directed": 2.0808651447296143}),
    ((15, (20, 33, 22)), (30, (20, 33, 22)), S, {"hd": 15.62594, "directed": 15.439640998840332}),
    ((33, (42, 45, 52)), (33, (43, 45, 52)), S, {"mean": 0.4951, "one_way": 0.4951}),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b", "spacing", "told"), MONAI)
def test_monai_golden(a, b, spacing, told):
    grids = [ball(*region, spacing or (1, 1, 1)) for region in (a, b)]
    distances = surface_distances(*grids, spacing=spacing)
    found = {
        "hd": percentile_hausdorff(distances, 100),
        "hd95": percentile_hausdorff(distances, 95),
        "directed": distances[0].max(),
        "directed95": np.percentile(distances[0], 95),
        "mean": mean_surface_distance(distances),
        "one_way": distances[0].mean(),
    }
    for name, value in told.items():
        assert found[name] == pytest.approx(value, abs=5e-5), name


def literal_edge(region):
    edge = np.zeros(region.shape, bool)
    for place in np.argwhere(region):
        for axis in range(region.ndim):
            for step in (-1, 1):
                other = place.copy()
                other[axis] += step
                outside = other[axis] < 0 or other[axis] >= region.shape[axis]
                if outside or not region[tuple(other)]:
                    edge[tuple(place)] = True
    return edge


@pytest.mark.parametrize("shape", [(9, 11), (5, 6, 7)])
@pytest.mark.parametrize("share", [0.5, 0.02])
def test_literal_twin(shape, share):
    """Dense noise takes the distance map, two far blobs the search tree; both equal all pairs of points."""
    chance = np.random.default_rng(3)
    a, b = (chance.random(shape) < share for _ in range(2))
    a.flat[0], b.flat[-1] = True, True
    spacing = np.array([2.0, 0.5, 3.0][: len(shape)])
    np.testing.assert_array_equal(inner_edge(a), literal_edge(a))
    ours = surface_distances(a, b, spacing=spacing)
    points = [np.argwhere(literal_edge(r)) * spacing for r in (a, b)]
    pairs = np.sqrt(((points[0][:, None] - points[1][None]) ** 2).sum(-1))
    np.testing.assert_allclose(ours[0], pairs.min(axis=1), atol=1e-12)
    np.testing.assert_allclose(ours[1], pairs.min(axis=0), atol=1e-12)


def test_empty_regions():
    empty, one = np.zeros((4, 4), bool), np.eye(4, dtype=bool)
    assert [d.size for d in surface_distances(empty, empty)] == [0, 0]
    assert np.isnan(percentile_hausdorff(surface_distances(empty, empty)))
    assert percentile_hausdorff(surface_distances(empty, one)) == np.inf
    assert mean_surface_distance(surface_distances(one, empty)) == np.inf
    assert box_of(empty) is None
    assert box_of(one[:2], np.zeros((2, 4), bool)) == (slice(0, 2), slice(0, 2))
