"""NIfTI, NRRD and their slices: nibabel's affine and values, damaged headers, planes, labels on their grid."""

import gzip
import itertools
import pickle
import struct

import nibabel
import nrrd
import numpy as np
import pytest

from convscope.arrays.orientation import PLANES, Grid, cut, joined
from convscope.data.medical import Slicing
from convscope.data.medical_labels import cases_of, spacing_of
from convscope.data.nifti import read_nifti
from convscope.data.nrrd_file import read_nrrd
from convscope.data.opening import Reading, read_data
from convscope.data.split import split_samples
from convscope.errors import DataError, PictureError
from convscope.records.masks import VOID
from unit.data.medical_made import dicom, nifti, nifti_header, series

KEY = "study-fedcba9876543210"


@pytest.fixture(autouse=True)
def _key(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("CONVSCOPE_KEY_FILE", str(tmp_path_factory.mktemp("key") / "k"))


def turned_affine(axes, flips, tilt=0.0):
    inner = np.zeros((3, 3))
    for own, axis in enumerate(axes):
        inner[axis, own] = (2.0, 3.0, 4.0)[own] * (-1 if flips[own] else 1)
    c, s = np.cos(tilt), np.sin(tilt)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ inner
    affine[:3, 3] = (10, -20, 30)
    return affine


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", [(False,) * 3, (True, False, True), (False, True, False)])
def test_orientation_is_nibabels_and_comes_back(axes, flips):
    affine = turned_affine(axes, flips, 0.2)
    values = np.arange(5 * 6 * 7).reshape(5, 6, 7)
    grid = Grid(values.shape, affine)
    assert grid.codes == "".join(nibabel.aff2axcodes(affine))
    np.testing.assert_allclose(grid.spacing_mm, nibabel.affines.voxel_sizes(affine))
    ours = grid.to_lps(values)
    canonical = nibabel.as_closest_canonical(nibabel.Nifti1Image(values.astype("i2"), affine))
    np.testing.assert_array_equal(ours, np.asarray(canonical.dataobj)[::-1, ::-1])
    np.testing.assert_array_equal(grid.from_lps(ours), values)
    for plane in PLANES:
        pictures = [cut(ours, plane, i) for i in range(grid.count(plane))]
        np.testing.assert_array_equal(joined(pictures, plane), ours)


def test_planes_lie_as_radiologists_look_at_them():
    """A voxel at the patient's right, front and top."""
    values = np.zeros((4, 5, 6))  # RAS
    values[3, 4, 5] = 1
    grid = Grid(values.shape, np.eye(4))
    lps = grid.to_lps(values)
    places = {
        plane: np.argwhere(np.stack([cut(lps, plane, i) for i in range(grid.count(plane))]))[0] for plane in PLANES
    }
    assert places["axial"].tolist() == [5, 0, 0]  # top slice, front above, right at the left edge
    assert places["coronal"].tolist() == [0, 0, 0]  # slices count from the front, top above, right at the left edge
    assert places["sagittal"].tolist() == [0, 0, 0]  # from the right, top above, front at the left edge


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("scale", [None, (2.5, -3.0)])
def test_nifti_is_what_nibabel_says(tmp_path, name, scale):
    values = np.random.default_rng(0).integers(-200, 300, (5, 6, 7, 3)).astype("i2")
    path = nifti(tmp_path / name, values, turned_affine((1, 0, 2), (True, False, False), 0.3), scale=scale)
    volume = read_nifti(path, KEY)
    image = nibabel.load(path)
    np.testing.assert_allclose(volume.values, image.get_fdata(), rtol=1e-6)
    np.testing.assert_allclose(volume.grid.affine, image.affine)
    assert volume.values.dtype == (np.int16 if scale is None else np.float32)


def test_nifti_of_the_other_byte_order_and_pairs(tmp_path):
    values = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(">f4")
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(">f4")
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4), header), tmp_path / "big.nii")
    np.testing.assert_array_equal(read_nifti(tmp_path / "big.nii", KEY).values, values)
    nibabel.save(nibabel.Nifti1Pair(values.astype("f4"), np.eye(4)), tmp_path / "pair.img")
    np.testing.assert_array_equal(read_nifti(tmp_path / "pair.hdr", KEY).values, values)


def refused(tmp_path, data, words, name="a.nii"):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(PictureError, match=words) as raised:
        read_nifti(tmp_path / name, KEY)
    assert raised.value.path == KEY and str(tmp_path) not in str(raised.value)


def test_d11_to_d13_headers_that_lie(tmp_path):
    refused(tmp_path, nifti_header((32767, 32767, 32767)), "131,0.* GiB")
    refused(tmp_path, nifti_header((-5, 10, 10)), r"at least 1, its header says \(-5, 10, 10\)")
    refused(tmp_path, nifti_header((5, 5, 5), offset=1e9), r"past the end|voxels from byte")
    refused(tmp_path, nifti_header((5, 5, 5), offset=float("nan")), "past the end")
    refused(tmp_path, nifti_header((50, 5, 5)), "expected 5,000 bytes of voxels from byte 352 on, got 1,000")
    broken = bytearray(nifti_header((5, 5, 5)))
    struct.pack_into("<h", broken, 254, 1)
    struct.pack_into("<f", broken, 280, float("nan"))
    refused(tmp_path, bytes(broken), "finite numbers")
    complex_one = bytearray(nifti_header((5, 5, 5)))
    struct.pack_into("<h", complex_one, 70, 32)
    refused(tmp_path, bytes(complex_one), "complex numbers")
    refused(tmp_path, b"", "too short")
    refused(tmp_path, b"x" * 400, "not a NIfTI-1")
    refused(
        tmp_path,
        gzip.compress(nifti_header((5, 5, 5), bytes(range(250)) * 2))[:120],
        "damaged or truncated gzip",
        "a.nii.gz",
    )


def test_d13_a_bomb_is_unpacked_only_as_far_as_its_header_says(tmp_path):
    data = nifti_header((5, 5, 5), b"\0" * (300 << 20))
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(data, 1))
    import tracemalloc

    tracemalloc.start()
    assert read_nifti(tmp_path / "a.nii.gz", KEY).values.shape == (5, 5, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 << 20


def test_sform_that_differs_from_qform_is_said(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), "u1"), np.eye(4))
    image.set_qform(np.diag([2, 2, 2, 1]), 1)
    image.set_sform(np.eye(4), 2)
    nibabel.save(image, tmp_path / "a.nii")
    volume = read_nifti(tmp_path / "a.nii", KEY)
    assert any("sform" in n for n in volume.notes)
    np.testing.assert_array_equal(volume.grid.affine, np.eye(4))


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
@pytest.mark.parametrize(("space", "signs"), [("left-posterior-superior", (-1, -1, 1)), ("RAS", (1, 1, 1))])
def test_nrrd(tmp_path, encoding, space, signs):
    values = np.random.default_rng(0).integers(-9, 9, (4, 5, 6)).astype("i2")
    header = {
        "space": space,
        "space directions": np.diag([1.0, 2.0, 3.0]),
        "space origin": [7, 8, 9],
        "encoding": encoding,
    }
    nrrd.write(str(tmp_path / "a.nrrd"), values, header)
    volume = read_nrrd(tmp_path / "a.nrrd", KEY)
    np.testing.assert_array_equal(volume.values, values)
    np.testing.assert_allclose(volume.grid.affine[:3, :3], np.diag(np.array([1.0, 2, 3]) * signs))
    np.testing.assert_allclose(volume.grid.affine[:3, 3], np.array([7, 8, 9]) * signs)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "NRRD0004\ntype: short\ndimension: 3\nsizes: 4 4 4\nencoding: raw\ndata file: ../../etc/passwd\n\n",
            "another file",
        ),
        ("NRRD0004\ntype: short\ndimension: 3\nsizes: 99999 99999 99999\nencoding: raw\nendian: little\n\n", "GiB"),
        (
            "NRRD0004\ntype: short\ndimension: 3\nsizes: 4 4 4\nencoding: raw\nendian: little\n\nxx",
            "expected 128 bytes",
        ),
        ("NRRD0004\ntype: short\ndimension: 3\nsizes: 4 4 4\nencoding: bzip2\nendian: little\n\n", "raw or gzip"),
        ("NRRD0004\ntype: block\ndimension: 3\nsizes: 4 4 4\nencoding: raw\n\n", "damaged|plain numbers"),
        ("NRRD0004\nnonsense\n\n", "damaged"),
        ("hello", "not a NRRD"),
    ],
)
def test_nrrd_refusals(tmp_path, text, words):
    (tmp_path / "a.nrrd").write_text(text)
    with pytest.raises(PictureError, match=words) as raised:
        read_nrrd(tmp_path / "a.nrrd", KEY)
    assert "passwd" not in str(raised.value)


def labelled(root, n=3):
    """Volumes and labels of one grid; the labels are stored in another orientation."""
    chance = np.random.default_rng(1)
    affine = turned_affine((0, 1, 2), (False, False, False))
    for case in range(n):
        values = chance.normal(100, 20, (6, 7, 5)).astype("f4")
        label = np.zeros((6, 7, 5), "u1")
        label[1:3, 2:5, case % 4 + 1] = 4
        nifti(root / f"images/sub-{case // 2}_scan{case}_0000.nii.gz", values, affine)
        image = nibabel.Nifti1Image(label, affine)
        flipped = image.as_reoriented(np.array([[0, -1], [1, 1], [2, 1]]))
        (root / "labels").mkdir(parents=True, exist_ok=True)
        nibabel.save(flipped, root / f"labels/sub-{case // 2}_scan{case}.nii")
    return values, label


@pytest.mark.parametrize("plane", PLANES)
def test_labelled_volumes(tmp_path, plane):
    values, label = labelled(tmp_path)
    samples = read_data(tmp_path, reading=Reading(slicing=Slicing(plane=plane)))
    depth = {"axial": 5, "coronal": 7, "sagittal": 6}[plane]
    assert samples.task == "segment" and len(samples) == 3 * depth and samples.classes == ("background", "label 4")
    last = range(2 * depth, 3 * depth)
    volume = joined([samples.truth[i].read() for i in last], plane)
    np.testing.assert_array_equal(volume[::-1, ::-1], label // 4)  # RAS to LPS
    picture = samples.pictures.read(2 * depth, 3)
    assert picture.values.shape == (*samples.truth[0].picture_hw, 3) and picture.values.dtype == np.float32
    low, high = np.percentile(values, [0.5, 99.5])
    shown = joined([samples.pictures.read(i, 1).values[..., 0] for i in last], plane)[::-1, ::-1]
    np.testing.assert_allclose(shown, np.clip((values - low) / (high - low), 0, 1) * 255, atol=1e-2)
    sizes = {"axial": (3, 2), "coronal": (4, 2), "sagittal": (4, 3)}[plane]
    np.testing.assert_allclose(spacing_of(samples)[0], sizes)
    cases = cases_of(samples)
    assert len(set(cases)) == 3 and all(k.startswith(c + "/") for k, c in zip(samples.pictures.keys, cases))
    copy = pickle.loads(pickle.dumps(samples.subset(np.array([depth, 0]))))
    np.testing.assert_array_equal(copy.truth[0].read(), samples.truth[depth].read())
    assert copy.pictures.keys == (samples.pictures.keys[depth], samples.pictures.keys[0])


def test_splits_keep_a_patient_together_and_names_tell_nothing(tmp_path):
    labelled(tmp_path, 8)
    samples = read_data(tmp_path)
    assert len(set(samples.groups)) == 4  # two scans of each subject
    split = split_samples(samples, val_share=0.3, seed=1)
    sides = [{samples.groups[i] for i in part} for part in (split.train, split.val)]
    assert not sides[0] & sides[1] and all(sides)
    said = repr((samples.pictures.keys, samples.groups, samples.source, samples.set_aside))
    assert "sub-" not in said and "scan" not in said and str(tmp_path) not in said
    assert "scan0" in str(samples.pictures.file_of(0))


def test_only_marked_slices_and_a_label_map(tmp_path):
    labelled(tmp_path)
    (tmp_path / "dataset.json").write_text('{"labels": {"0": "background", "1": "edge", "4": "tumour"}}')
    samples = read_data(tmp_path, reading=Reading(slicing=Slicing(only_marked=True)))
    assert len(samples) == 3 and samples.classes == ("background", "edge", "tumour")
    assert set(np.unique(samples.truth[0].read())) == {0, 2}


def test_labels_that_do_not_fit(tmp_path):
    labelled(tmp_path, 2)
    path = next((tmp_path / "labels").glob("*scan0*"))
    image = nibabel.load(path)
    moved = image.affine.copy()
    moved[0, 3] += 5
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), moved), path)
    samples = read_data(tmp_path)
    assert len(samples) == 5 and "corners lie 5 mm apart" in samples.set_aside[0].reason
    nibabel.save(nibabel.Nifti1Image(np.zeros((6, 7, 4), "u1"), image.affine), path)
    assert "6 x 7 x 4 voxels against 6 x 7 x 5" in read_data(tmp_path).set_aside[0].reason
    strange = np.zeros((6, 7, 5), "f4")
    strange[0, 0, 0] = 0.5
    nibabel.save(nibabel.Nifti1Image(strange, image.affine), path)
    with pytest.raises(DataError, match="whole numbers"):
        read_data(tmp_path)


def test_d14_a_case_in_two_files_and_a_header_without_its_voxels(tmp_path):
    values = np.random.default_rng(0).normal(size=(4, 4, 4)).astype("f4")
    for name in ("cat/a.nii", "cat/a.nii.gz", "cat/b.nii", "dog/c.nii"):
        nifti(tmp_path / name, values)
    (tmp_path / "dog/d.hdr").write_bytes(nifti_header((4, 4, 4)))
    samples = read_data(tmp_path)
    reasons = [s.reason for s in samples.set_aside]
    assert sum("one case in two files, study-" in r for r in reasons) == 2
    assert any("without its .img" in r for r in reasons) and len(samples) == 8
    assert samples.classes == ("cat", "dog") and samples.truth.tolist() == [0] * 4 + [1] * 4


def test_classes_of_dicom_slices(tmp_path):
    for part in ("train", "val"):
        for name in ("ill", "well"):
            series(tmp_path / part / name / "p1", PatientID=f"{part}{name}", BurnedInAnnotation="NO")
    samples = read_data(tmp_path)
    assert samples.classes == ("ill", "well") and len(samples) == 20 and len(set(samples.groups)) == 4
    assert samples.given_split.count("val") == 10
    assert samples.pictures.read(0, 3).values.shape == (8, 8, 3)
    with pytest.raises(DataError, match="tasks classify and segment"):
        from convscope.data.segment_kinds import read_medical_folder

        read_medical_folder(tmp_path, task="regress")


def test_d8_burned_in_words(tmp_path):
    dicom(tmp_path / "a/1.dcm", BurnedInAnnotation="YES")
    dicom(tmp_path / "a/2.dcm", BurnedInAnnotation="NO", PatientID="x")
    dicom(tmp_path / "b/3.dcm", Modality="US")
    samples = read_data(tmp_path)
    assert len(samples) == 2 and "burned-in words declared" in samples.set_aside[0].reason
    notes = [samples.pictures.read(i, 1).notes for i in (0, 1)]
    assert not any("burned-in" in n for n in notes[0])
    assert any("not declared" in n and "US pictures often" in n for n in notes[1])
    every = read_data(tmp_path, reading=Reading(slicing=Slicing(allow_burned_in=True)))
    assert len(every) == 3 and any("declared (0028,0301)" in n for n in every.pictures.read(0, 1).notes)


def test_a_dicom_series_with_a_nifti_label(tmp_path):
    series(tmp_path / "images/case1", BurnedInAnnotation="NO")
    label = np.zeros((8, 8, 5), "u1")
    label[2, 1, 3] = 1
    affine = np.diag([-0.75, -0.5, 2.5, 1.0])
    affine[:3, 3] = (7, 9, 0)
    nifti(tmp_path / "labels/case1.nii.gz", label, affine)
    samples = read_data(tmp_path)
    assert len(samples) == 5 and samples.truth[3].read()[1, 2] == 1
    assert samples.pictures.read(3, 1).values.argmax() == 63


def test_void_values_and_windows(tmp_path):
    from convscope.data.slices import label_indices

    assert label_indices(np.array([[0, 7, 255]]), (0, 7), KEY).tolist() == [[0, 1, VOID]]
    with pytest.raises(PictureError, match="2 voxels of value 3"):
        label_indices(np.array([[3, 3]]), (0, 7), KEY)
    nifti(tmp_path / "a/1.nii", np.linspace(-100, 300, 64).astype("f4").reshape(4, 4, 4))
    nifti(tmp_path / "b/2.nii", np.zeros((4, 4, 4), "f4"))
    samples = read_data(tmp_path, reading=Reading(slicing=Slicing(window=(0, 100))))
    picture = samples.pictures.read(0, 1)
    assert picture.notes[-1] == "greys from 0 to 100 as asked" and picture.values.min() == 0
    with pytest.raises(DataError, match="did you mean axial"):
        Slicing(plane="axail")
    with pytest.raises(DataError, match="from a lower"):
        Slicing(window=(3, 3))


@pytest.mark.real_data
def test_real_volumes(real_data):
    for path in sorted((real_data / "mri-nifti").rglob("*.nii.gz")):
        volume, image = read_nifti(path, KEY), nibabel.load(path)
        np.testing.assert_allclose(volume.values, np.asarray(image.dataobj), rtol=1e-6)
        np.testing.assert_allclose(volume.grid.affine, image.affine)
    samples = read_data(real_data / "mri-nifti/pyradiomics-tumour")
    assert len(samples) == 25 and sum(int(t.read().sum()) for t in samples.truth) == 4137
    np.testing.assert_allclose(spacing_of(samples)[0], (0.78125, 0.78125))


def test_files_to_be_predicted_are_shown_as_study_ids(tmp_path):
    from convscope.data.loose import read_pictures

    first = dicom(tmp_path / "DOE_JOHN.dcm", BurnedInAnnotation="NO")
    second = dicom(tmp_path / "deep/1.2.840.77")  # DICOM without a suffix
    for given in ([first, second], first, tmp_path):
        samples = read_pictures(given)
        assert samples.truth is None and samples.pictures.keys[0].startswith("study-")
        assert samples.pictures.read(0, 3).values.shape == (8, 8, 3)
        assert "DOE" not in repr((samples.pictures.keys, samples.set_aside, samples.groups))
    volume = nifti(tmp_path / "v.nii", np.zeros((4, 5, 6), "f4"))
    assert len(read_pictures(volume)) == 6
    with pytest.raises(DataError, match="several kinds"):
        read_pictures([first, volume])


def test_a_stray_dicom_does_not_make_a_folder_of_photographs_medical(tmp_path):
    from PIL import Image

    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.fromarray(np.full((8, 8, 3), 20 * i, np.uint8)).save(tmp_path / name / f"{i}.png")
    dicom(tmp_path / "cat" / "scan.dcm")
    samples = read_data(tmp_path)
    assert len(samples) == 6 and samples.pictures.keys[0] == "cat/0.png"
