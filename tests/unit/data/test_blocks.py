"""Blocks of neighbouring slices: which slices, where they lie, and what is around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convscope.data.arrays import read_arrays
from convscope.data.blocks import blocks_of, neighbours
from convscope.data.opening import read_data
from convscope.data.places import mask_in_frame
from convscope.errors import PlanError
from convscope.records.geometry import Letterbox
from convscope.records.masks import VOID
from convscope.records.samples import Samples

nibabel = pytest.importorskip("nibabel")
DEEP = 10


@pytest.fixture
def slices(tmp_path: Path) -> Samples:
    """Two volumes of 8 x 6 x 10 voxels whose values and labels tell where they are."""
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for case in range(2):
        values = np.arange(8 * 6 * DEEP, dtype=np.float32).reshape(8, 6, DEEP) + case
        label = (values % 7 > 3).astype(np.uint8)
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "images" / f"c{case}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(label, np.eye(4)), tmp_path / "labels" / f"c{case}.nii.gz")
    return read_data(tmp_path)


def test_blocks_overlap_by_half_and_hold_neighbours_of_one_volume(slices: Samples) -> None:
    blocks = blocks_of(slices, 4)
    assert len(blocks) == 2 * 4, "starts 0, 2, 4, 6 of ten slices"
    assert [key.rpartition("/")[2] for key in blocks.pictures.keys[:2]] == ["axial-0000-0003", "axial-0002-0005"]
    assert len(set(blocks.pictures.keys)) == len(blocks)
    second = blocks.pictures.read(5, 4)
    assert second.values.shape == (6, 8, 4) and second.source_hw == (6, 8)
    for place in range(4):
        np.testing.assert_array_equal(
            second.values[..., place], slices.pictures.read(DEEP + 2 + place, 1).values[..., 0]
        )
        np.testing.assert_array_equal(blocks.truth[5].read()[..., place], slices.truth[DEEP + 2 + place].read())
    some = blocks.subset(np.array([5]))
    np.testing.assert_array_equal(some.pictures.read(0, 4).values, second.values)
    assert some.truth[0].fingerprint() != blocks.truth[4].fingerprint()


def test_a_gap_parts_runs_and_short_runs_lie_in_the_middle_of_black(slices: Samples) -> None:
    chosen = slices.subset(np.array([3, 0, 1, 12, 2, 5]))  # in any order
    assert list(neighbours(chosen)) == [(1, 2, 4, 0), (5,), (3,)]
    block = blocks_of(chosen, 8)
    values, mask = block.pictures.read(0, 8).values, block.truth[0].read()
    np.testing.assert_array_equal(values[..., 2:6], joined_slices(slices, range(4)))
    assert not values[..., :2].any() and not values[..., 6:].any()
    assert (mask[..., :2] == VOID).all() and (mask[..., 6:] == VOID).all() and not (mask[..., 2:6] == VOID).any()


def joined_slices(samples: Samples, indices: range) -> np.ndarray:
    return np.concatenate([samples.pictures.read(i, 1).values for i in indices], axis=-1)


def test_a_mask_of_a_block_goes_to_the_frame_as_each_of_its_slices(slices: Samples) -> None:
    mask = blocks_of(slices, 4).truth[0].read()
    place = Letterbox((6, 8), (9, 9), (9 / 8, 9 / 8), (1.0, 0.0))
    moved = mask_in_frame(mask, place)
    assert moved.shape == (9, 9, 4) and (moved[0] == VOID).all()
    for i in range(4):
        np.testing.assert_array_equal(moved[..., i], mask_in_frame(mask[..., i], place))


def test_pictures_are_no_volumes() -> None:
    pictures = read_arrays(np.zeros((4, 8, 8, 1), np.float32), np.array([0, 1, 0, 1]))
    with pytest.raises(PlanError, match="expected volumes"):
        blocks_of(pictures, 4)
