"""A segmenter by command: windows and flips, volumes in their own geometry, why a region, where it is unsure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import convscope
from convscope.actions.dataset import open_samples
from convscope.actions.explain import explain_files
from convscope.actions.mask_looks import Looks
from convscope.actions.mask_pictures import pictures_to_mark
from convscope.actions.opening import open_any
from convscope.actions.say import say_of_files
from convscope.arrays.orientation import joined
from convscope.bundle.saving import save_bundle
from convscope.cli.app import run as command
from convscope.errors import DataError, PlanError
from unit.data.medical_made import dicom

pytestmark = pytest.mark.backend
nibabel = pytest.importorskip("nibabel")
AFFINE = np.array([[-1.5, 0, 0, 10.0], [0, 1.2, 0, -4.0], [0, 0, 2.0, 3.0], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four volumes of 32 x 32 x 6 with a bright ball, and a run on them."""
    root = tmp_path_factory.mktemp("volumes")
    rng = np.random.default_rng(5)
    for name in ("images", "labels"):
        (root / "data" / name).mkdir(parents=True)
    for number in range(6):
        centre = rng.uniform(10, 22, 2)
        rows, columns = np.mgrid[:32, :32]
        ball = ((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < 36)[..., None].repeat(6, axis=2)
        values = (rng.normal(60, 15, ball.shape) + 120 * ball).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(values, AFFINE), root / "data" / "images" / f"case{number}.nii.gz")
        labels = nibabel.Nifti1Image(ball.astype(np.uint8), AFFINE)
        nibabel.save(labels, root / "data" / "labels" / f"case{number}.nii.gz")
    plan = convscope.Plan(
        model="unet", weights="none", image_size=32, channels=1, unet_depth=2, unet_width=4, epochs=20, batch_size=6,
        dropout=0.1, learning_rate=1e-2, patience=0, watch_pictures=0, class_weights="balanced",
    )  # fmt: skip
    convscope.train(root / "data", plan=plan, out=root / "run")
    return root


def test_a_volume_comes_back_in_its_own_geometry(work: Path, tmp_path: Path) -> None:
    source = work / "data" / "images" / "case0.nii.gz"
    assert command(["predict", str(work / "run"), str(source), "--out", str(tmp_path), "--flips"]) == 0
    (written,) = (tmp_path / "volumes").iterdir()
    found, given = nibabel.load(written), nibabel.load(source)
    truth = np.asarray(nibabel.load(work / "data" / "labels" / "case0.nii.gz").dataobj)
    assert found.shape == given.shape and np.array_equal(found.affine, given.affine)
    labels = np.asarray(found.dataobj)
    assert 2 * (labels & truth).sum() / (labels.sum() + truth.sum()) > 0.8
    assert "case0" not in written.name


def test_volumes_are_cut_as_for_training_unless_said_otherwise(work: Path) -> None:
    """The plane and the window of the plan reach the reader, the card, the bundle and a later prediction."""
    plan = convscope.Plan(plane="coronal", window=(0, 200))
    read = open_samples(work / "data", plan)
    assert read.pictures.read(0, 1).values.shape == (6, 32, 1)
    values = np.asarray(nibabel.load(work / "data" / "images" / "case0.nii.gz").dataobj)
    seen = joined([read.pictures.read(i, 1).values[..., 0] for i in range(32)], "coronal")
    np.testing.assert_allclose(
        np.sort(seen, axis=None), np.sort(np.clip(values / 200 * 255, 0, 255), axis=None), atol=0.02
    )
    opened = open_any(work / "run")
    assert opened.card is not None and opened.card.plane == "axial" and opened.card.window is None
    card = replace(opened.card, plane="coronal", window=(0.0, 200.0))
    save_bundle(work / "coronal", opened.model, card)
    kept = open_any(work / "coronal").card
    assert kept is not None and (kept.plane, kept.window) == ("coronal", (0.0, 200.0))
    source = [work / "data" / "images" / "case0.nii.gz"]
    assert pictures_to_mark(source, kept).pictures.keys[0].endswith("/coronal-0000")
    np.testing.assert_array_equal(
        pictures_to_mark(source, kept).pictures.read(3, 1).values, read.pictures.read(3, 1).values
    )
    assert pictures_to_mark(source, kept, "sagittal").pictures.keys[0].endswith("/sagittal-0000")


def test_windows_give_what_the_whole_gives_and_joins_larger_pictures(work: Path) -> None:
    source = work / "data" / "images" / "case1.nii.gz"
    whole = say_of_files(work / "run", [source]).record
    slid = say_of_files(work / "run", [source], looks=Looks(slide=True, memory_mb=1)).record
    assert all(np.array_equal(a, b) for a, b in zip(whole.masks, slid.masks, strict=True)), "one window is the picture"
    values = np.asarray(nibabel.load(source).dataobj)
    large = np.concatenate([np.concatenate([values] * 2)] * 2, axis=1)
    path = work / "large.nii.gz"
    nibabel.save(nibabel.Nifti1Image(large, AFFINE), path)
    joined = say_of_files(work / "run", [path], looks=Looks(slide=True, flips=True)).record
    assert joined.masks[0].shape == (64, 64)
    quarter = joined.masks[3][:32, :32] > 0
    expected = whole.masks[3] > 0
    assert 2 * (quarter & expected).sum() / (quarter.sum() + expected.sum()) > 0.85
    with pytest.raises(PlanError, match="overlap"):
        Looks(overlap=1.0)


def test_a_region_is_explained_and_its_heat_stitched(work: Path, tmp_path: Path) -> None:
    source = work / "data" / "images" / "case2.nii.gz"
    why = ["explain", str(work / "run"), str(source), "--out", str(tmp_path), "--target", "label 1"]
    assert command([*why, "--method", "grad-cam,layer-cam,flip-disagreement,dropout-uncertainty"]) == 0
    names = sorted(p.name.partition("-study")[0] for p in (tmp_path / "volumes").iterdir())
    assert names == ["dropout-uncertainty", "flip-disagreement", "grad-cam", "layer-cam"]
    heat = nibabel.load(next((tmp_path / "volumes").glob("layer-cam-*")))
    assert heat.shape == (32, 32, 6) and np.array_equal(heat.affine, nibabel.load(source).affine)
    page = (tmp_path / "explained.html").read_text(encoding="utf-8")
    assert "Inside the outlined region" in page and "Where it is unsure" in page and "case2" not in page


def test_the_heat_lies_on_the_region_and_its_share_is_told(work: Path, tmp_path: Path) -> None:
    """By hiding, not by a layer's maps: a small network may say the ball by what is silent there (on JAX it does)."""
    source = work / "data" / "images" / "case3.nii.gz"
    _, (one,) = explain_files(work / "run", [source], ["occlusion"], out=tmp_path)
    inside = np.stack(say_of_files(work / "run", [source]).record.masks) == 1
    warm = np.maximum(one.heat, 0)
    share = (warm * inside).sum((1, 2)) / warm.sum((1, 2))
    np.testing.assert_allclose(one.facts["energy inside"], share, rtol=1e-4)
    assert share.mean() > 0.7, "the ball is 0.11 of the picture"
    assert all(t.kind == "logit" and t.label == "label 1" for t in one.targets)
    first = explain_files(work / "run", [source], ["dropout-uncertainty"], seed=3, out=tmp_path)[1][0].heat
    again = explain_files(work / "run", [source], ["dropout-uncertainty"], seed=3, out=tmp_path)[1][0].heat
    assert np.array_equal(first, again) and 0 < first.max() <= 1
    border = explain_files(work / "run", [source], ["flip-disagreement"], out=tmp_path)[1][0].heat
    assert border.min() >= 0 and border.max() <= 1


def test_a_region_that_is_not_there_is_refused(work: Path, tmp_path: Path) -> None:
    source = work / "data" / "images" / "case4.nii.gz"
    with pytest.raises(DataError, match="does not say label 1 at row 0, column 0"):
        explain_files(work / "run", [source], ["grad-cam"], target="label 1@0,0", out=tmp_path)
    with pytest.raises(PlanError, match="unknown class"):
        explain_files(work / "run", [source], ["grad-cam"], target="liver", out=tmp_path)


def test_a_dicom_series_comes_back_as_a_seg_file_too(work: Path, tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    rows, columns = np.mgrid[:32, :32]
    ball = (rows - 18) ** 2 + (columns - 14) ** 2 < 36
    for z in range(4):
        pixels = (60 + 120 * ball).astype(np.uint16)
        tags = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImagePositionPatient": [5.0, -7.0, 2.5 * z],
                "PixelSpacing": [0.8, 0.9], "InstanceNumber": z + 1, "SeriesInstanceUID": "1.2.9",
                "StudyInstanceUID": "1.2.8", "Modality": "MR"}  # fmt: skip
        dicom(tmp_path / "series" / f"{z}.dcm", pixels=pixels, **tags)
    assert command(["predict", str(work / "run"), str(tmp_path / "series"), "--out", str(tmp_path / "said")]) == 0
    names = sorted(p.suffix for p in (tmp_path / "said" / "volumes").iterdir())
    assert names == [".dcm", ".gz"]
    seg = pydicom.dcmread(next((tmp_path / "said" / "volumes").glob("*.dcm")))
    assert seg.Modality == "SEG" and seg.SegmentSequence[0].SegmentLabel == "label 1" and "DOE" not in str(seg)
    first = seg.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient
    assert [float(v) for v in first][:2] == [5.0, -7.0]
    frame = seg.pixel_array[0] if seg.NumberOfFrames > 1 else seg.pixel_array
    assert 2 * (frame.astype(bool) & ball).sum() / (frame.sum() + ball.sum()) > 0.8
