"""Labels go back to the geometry that they came from."""

import nibabel
import numpy as np
import pytest
from PIL import Image

from convscope.arrays.orientation import PLANES, Grid, cut
from convscope.data.dicom_seg import write_dicom_seg
from convscope.data.dicom_series import read_series
from convscope.data.nifti import read_nifti
from convscope.data.volume_writing import labels_of_slices, write_dicom_series, write_nifti, write_slices
from convscope.errors import DataError
from unit.data.test_volumes import turned_affine

AFFINES = [
    turned_affine((0, 1, 2), (False, False, False)),
    turned_affine((2, 0, 1), (True, False, True), 0.3),
]


@pytest.mark.parametrize("affine", AFFINES)
@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_slices_to_nifti_and_back(tmp_path, affine, plane, name):
    labels = np.random.default_rng(0).integers(0, 4, (5, 6, 7)).astype("u1")
    grid = Grid(labels.shape, affine)
    lps = grid.to_lps(labels)
    masks = [cut(lps, plane, i) for i in range(grid.count(plane))]
    made = labels_of_slices(masks, grid, plane)
    np.testing.assert_array_equal(made, labels)
    write_nifti(tmp_path / name, made, grid)
    image = nibabel.load(tmp_path / name)
    np.testing.assert_array_equal(np.asarray(image.dataobj), labels)
    np.testing.assert_allclose(image.affine, affine, atol=1e-6)
    np.testing.assert_allclose(image.get_qform(), affine, atol=1e-4)
    before = (tmp_path / name).read_bytes()
    write_nifti(tmp_path / name, made, grid)
    assert (tmp_path / name).read_bytes() == before
    np.testing.assert_array_equal(read_nifti(tmp_path / name, "k").values, labels)


@pytest.mark.parametrize("affine", AFFINES)
def test_dicom_series_lies_where_the_volume_lay(tmp_path, affine):
    labels = np.random.default_rng(0).integers(0, 4, (5, 6, 7)).astype("u1")
    grid = Grid(labels.shape, affine)
    write_dicom_series(tmp_path / "out", labels, grid, study="study-1")
    volume = read_series(sorted((tmp_path / "out").iterdir()), "k")
    # the reader counts slices along the normal of their plane, which may be the other way round
    places = np.argwhere(np.ones(volume.values.shape))
    where = places @ volume.grid.affine[:3, :3].T + volume.grid.affine[:3, 3]
    own = np.round((where - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T).astype(int)
    np.testing.assert_array_equal(volume.values[tuple(places.T)], labels[tuple(own.T)])


def test_png_slices(tmp_path):
    labels = np.random.default_rng(0).integers(0, 4, (5, 6, 7)).astype("u1")
    grid = Grid(labels.shape, AFFINES[0])
    write_slices(tmp_path / "out", labels, grid, "coronal")
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == [f"coronal-{i:04d}.png" for i in range(6)]
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / "out" / names[2])), cut(grid.to_lps(labels), "coronal", 2)
    )


def test_refusals(tmp_path):
    grid = Grid((5, 6, 7), np.eye(4))
    with pytest.raises(DataError, match="7 masks for the axial slices of a volume, got 1"):
        labels_of_slices([np.zeros((6, 5), "u1")], grid, "axial")
    with pytest.raises(DataError, match="shape"):
        write_nifti(tmp_path / "a.nii", np.zeros((5, 6, 6), "u1"), grid)
    with pytest.raises(DataError, match="shape"):
        write_dicom_series(tmp_path / "a", np.zeros((5, 6, 6), "u1"), grid, study="s")


@pytest.mark.parametrize("affine", AFFINES)
def test_dicom_seg_holds_every_voxel_at_its_place(tmp_path, affine):
    import pydicom

    labels = np.random.default_rng(0).integers(0, 3, (5, 6, 7)).astype("u1")
    labels[:, :, 3] = 0  # an empty slice is left out
    write_dicom_seg(
        tmp_path / "a.dcm", labels, Grid(labels.shape, affine), classes=("back", "grey", "white"), study="s"
    )
    found = pydicom.dcmread(tmp_path / "a.dcm")
    assert [s.SegmentLabel for s in found.SegmentSequence] == ["grey", "white"] and found.NumberOfFrames == 12
    frames = found.pixel_array
    shared = found.SharedFunctionalGroupsSequence[0]
    rows, columns = shared.PixelMeasuresSequence[0].PixelSpacing
    directions = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    back = np.zeros_like(labels)
    for frame, facts in zip(frames, found.PerFrameFunctionalGroupsSequence, strict=True):
        number = facts.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        first = np.array(facts.PlanePositionSequence[0].ImagePositionPatient, float)
        at = np.argwhere(frame)  # C.7.6.2.1.1: position + column number x row direction x column spacing + ...
        lps = first + at[:, 1:] * columns * directions[:3] + at[:, :1] * rows * directions[3:]
        own = (lps * [-1, -1, 1] - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
        back[tuple(np.round(own).astype(int).T)] = number
    np.testing.assert_array_equal(back, labels)


def test_an_empty_seg_is_refused(tmp_path):
    labels = np.zeros((3, 3, 3), "u1")
    with pytest.raises(DataError, match="a class besides 'back'"):
        write_dicom_seg(tmp_path / "a.dcm", labels, Grid(labels.shape, np.eye(4)), classes=("back", "one"), study="s")
