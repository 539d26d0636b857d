"""A 3-D U-Net by command: trained on blocks of slices, its masks back in the volume, what it is not for refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import convscope
from convscope.actions.mask_blocks import block_depth
from convscope.actions.mask_looks import Looks
from convscope.actions.opening import open_any
from convscope.actions.region_heat import heat_of
from convscope.actions.regions import Regions
from convscope.actions.say import say_of_files
from convscope.backend.tensors import to_numpy
from convscope.cli.app import run as command
from convscope.data.chance import draw
from convscope.explaining.region import region_model
from convscope.layers.augment import Augmenter
from convscope.layers.mask_losses import mask_loss
from convscope.layers.mask_metric import MaskIoU
from convscope.records.augmentation import Augmentation
from convscope.records.masks import VOID
from convscope.records.progress import silent
from convscope.scope.tap import Probe
from convscope.scope.target import Target

pytestmark = pytest.mark.backend
nibabel = pytest.importorskip("nibabel")
AFFINE = np.diag([-1.5, 1.2, 2.0, 1.0])
SIDE, DEEP = 24, 10


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six noisy volumes with a bright ball, and a run on them."""
    root = tmp_path_factory.mktemp("blocks")
    rng = np.random.default_rng(5)
    for name in ("images", "labels"):
        (root / "data" / name).mkdir(parents=True)
    y, x, z = np.mgrid[:SIDE, :SIDE, :DEEP]
    for number in range(6):
        centre = rng.uniform(8, 16, 2)
        ball = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 + 4 * (z - rng.uniform(4, 6)) ** 2 < 36
        values = (rng.normal(60, 15, ball.shape) + 120 * ball).astype(np.float32)
        for name, voxels in (("images", values), ("labels", ball.astype(np.uint8))):
            nibabel.save(nibabel.Nifti1Image(voxels, AFFINE), root / "data" / name / f"case{number}.nii.gz")
    plan = convscope.Plan(
        model="unet-3d", weights="none", image_size=SIDE, unet_slices=4, unet_depth=1, unet_width=4, epochs=16,
        batch_size=4, dropout=0.0, learning_rate=2e-2, patience=0, watch_pictures=0, class_weights="balanced",
        augment=Augmentation(flip_horizontal=True),
    )  # fmt: skip
    convscope.train(root / "data", plan=plan, out=root / "run")
    return root


def test_a_volume_comes_back_and_blocks_join_without_seams(work: Path, tmp_path: Path) -> None:
    source = work / "data" / "images" / "case0.nii.gz"
    assert command(["predict", str(work / "run"), str(source), "--out", str(tmp_path)]) == 0
    (written,) = (tmp_path / "volumes").iterdir()
    found, given = nibabel.load(written), nibabel.load(source)
    assert found.shape == given.shape and np.array_equal(found.affine, given.affine)
    truth = np.asarray(nibabel.load(work / "data" / "labels" / "case0.nii.gz").dataobj)
    labels = np.asarray(found.dataobj)
    assert 2 * (labels & truth).sum() / (labels.sum() + truth.sum()) > 0.8
    slid = say_of_files(work / "run", [source], looks=Looks(slide=True)).record
    whole = say_of_files(work / "run", [source]).record
    assert all(np.array_equal(a, b) for a, b in zip(whole.masks, slid.masks, strict=True)), "the frame is the slice"
    assert block_depth(open_any(work / "run").model) == 4
    assert command(["report", str(work / "run")]) == 0


def test_the_ball_is_explained_slice_by_slice_and_its_heat_stitched(work: Path, tmp_path: Path) -> None:
    source = work / "data" / "images" / "case0.nii.gz"
    methods = "layer-cam,integrated-gradients,flip-disagreement"
    asked = ["explain", str(work / "run"), str(source), "--method", methods, "--layer", "up0b_relu", "--target", "1"]
    assert command([*asked, "--out", str(tmp_path)]) == 0
    ball = np.asarray(nibabel.load(work / "data" / "labels" / "case0.nii.gz").dataobj) > 0
    for method in ("layer-cam", "integrated-gradients", "flip-disagreement"):
        (written,) = (tmp_path / "volumes").glob(f"{method}-*.nii.gz")
        heat = np.asarray(nibabel.load(written).dataobj)
        assert heat.shape == ball.shape and not heat[..., ~ball.any(axis=(0, 1))][..., :1].any()
        where_explained = heat.any(axis=(0, 1))
        assert where_explained.sum() >= ball.any(axis=(0, 1)).sum() - 1
        if method != "flip-disagreement":
            assert heat[ball].sum() / heat.sum() > 3 * ball[..., where_explained].mean()


def test_what_can_not_be_told_slice_by_slice_is_refused(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(work / "data" / "images" / "case0.nii.gz")
    for more, words in (
        (["--method", "occlusion"], "a method that tells the slices of a block apart"),
        (["--target", "1@3,4"], "leave out @ROW,COLUMN"),
        (["--layer", "down0*_relu"], "one layer to read"),
    ):
        assert command(["explain", str(work / "run"), source, "--out", str(work / "e"), *more]) == 2
        assert words in capsys.readouterr().err and not (work / "e").exists()


def test_heat_of_a_block_is_grad_cam_over_its_voxels(work: Path) -> None:
    """Each map weighed by its mean slope over all three axes (Selvaraju et al. 2017, eq. 1), from maps and slopes."""
    opened = open_any(work / "run")
    rng = np.random.default_rng(2)
    images = rng.uniform(0, 255, (2, SIDE, SIDE, 4)).astype(np.float32)
    masks = rng.random((2, SIDE, SIDE, 4)) > 0.7
    asked = Regions(images, masks, np.array([1, 1]), ("a", "b"), (), (0, 1))
    made = heat_of(opened, "grad-cam", images, asked, layer="down1b_relu", options={}, seed=0, progress=silent)
    model, _ = region_model(opened.model)
    regions = np.stack([np.zeros_like(masks), masks], axis=-1).astype(np.float32)
    seen = Probe(model).gradients([images, regions], Target(function=lambda y: y[:, 0], words="region"), "down1b_relu")
    (maps,), (slopes,) = seen.values.values(), seen.gradients.values()
    assert maps.ndim == 5
    expected = np.einsum("nhwdc,nc->nhwd", maps, slopes.mean(axis=(1, 2, 3)))
    assert made.values is not None
    np.testing.assert_allclose(made.values, np.maximum(expected, 0), rtol=1e-3, atol=1e-6 * np.abs(expected).max())


def test_losses_and_the_metric_count_voxels_as_they_count_pixels() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, (2, 6, 5, 4))
    truth[0, 0, :2] = VOID
    said = rng.dirichlet(np.ones(3), (2, 6, 5, 4)).astype(np.float32)
    for part in ("cross_entropy", "dice", "tversky", "focal"):
        loss = mask_loss(part, 3, class_weights=np.array([1.0, 2.0, 3.0]))
        flat = loss(truth.reshape(2, 6, 20), said.reshape(2, 6, 20, 3))
        np.testing.assert_allclose(float(loss(truth, said)), float(flat), rtol=1e-5, err_msg=part)
    pixels, voxels = MaskIoU(3), MaskIoU(3)
    pixels.update_state(truth.reshape(2, 6, 20), said.reshape(2, 6, 20, 3))
    voxels.update_state(truth, said)
    np.testing.assert_allclose(float(voxels.result()), float(pixels.result()), rtol=1e-6)


def test_the_border_of_a_ball_has_three_axes() -> None:
    loss = mask_loss("boundary", 2)
    y, x, z = np.mgrid[:12, :12, :12] - 6
    ball = (y**2 + x**2 + z**2 < 16)[None].astype(np.int32)
    right = np.eye(2, dtype=np.float32)[ball]
    beside = np.roll(right, 5, axis=3)  # along the third axis alone
    assert float(loss(ball, right)) < 0.01 < 0.2 < float(loss(ball, beside))


def test_masks_of_blocks_move_as_their_slices_do() -> None:
    masks = np.random.default_rng(2).integers(0, 4, (2, 8, 8, 3)).astype(np.int32)
    change = Augmenter(Augmentation(rotate_deg=30.0, flip_vertical=True), frame_hw=(8, 8), channels=3)
    draws = draw(change.augmentation, seed=3, epoch=0, indices=np.arange(2))
    move = change.compiled_labels()
    whole = to_numpy(move(masks, draws))
    for i in range(3):
        np.testing.assert_array_equal(whole[..., i], to_numpy(move(masks[..., i], draws)))
    assert not np.array_equal(whole, masks)
