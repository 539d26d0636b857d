"""No word of a medical file reaches a training run: journal, split, plan, checkpoints, bundle, report, predictions."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

import convscope
from convscope.actions.opening import open_any
from convscope.actions.say import say_of_files
from convscope.cli.app import run as command
from convscope.data.privacy import KEY_VARIABLE
from privacy.harness import search_outputs
from privacy.planted import planted_dicom, planted_nifti

pytest.importorskip("pydicom")
# not marked as touching a back end: what is written does not depend on it, and one run is enough


@pytest.fixture(autouse=True)
def _key(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path_factory.mktemp("key") / "k"))


def test_a_classifier_of_dicom_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "ZQfolderKW"
    markers = ["ZQfolderKW", "ZQdir"]
    for number in range(24):
        label = ("ill", "well")[number % 2]
        markers += planted_dicom(folder / label / f"ZQdir{number}KW" / "im.dcm", number, patient=number // 2)
    plan = convscope.Plan(model="simple-cnn", image_size=32, filters=(8,), epochs=4, batch_size=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom dislikes the planted words, and says them
        run = convscope.train(folder, plan=plan)
        run.report()
        said = say_of_files(open_any(run.path), [folder / "ill"])
        said.write(tmp_path / "runs" / "said")
    assert run.path.name.startswith("medical-data-")
    assert search_outputs(tmp_path / "runs", set(markers)) == []
    assert len(list((tmp_path / "runs").rglob("*"))) > 20


def test_a_segmenter_of_volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "ZQfolderKW"
    rng = np.random.default_rng(0)
    markers = ["ZQfolderKW"]
    for number in range(5):
        values = rng.uniform(0, 40, (16, 16, 4))
        label = np.zeros((16, 16, 4))
        label[4:12, 4:12] = 1
        values += 100 * label
        for name, array in (("images", values), ("labels", label)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            path = folder / name / f"ZQcase{number}KW.nii.gz"
            markers += planted_nifti(path, number, array.astype(np.int16))
    plan = convscope.Plan(
        model="unet", weights="none", image_size=16, unet_depth=1, unet_width=4, epochs=8, batch_size=4,
        learning_rate=1e-2,
    )  # fmt: skip
    run = convscope.train(folder, plan=plan)
    assert "Not a medical device" in run.report().read_text(encoding="utf-8")
    assert run.scores.headline == "dice" and (run.path / "strips.json").exists()
    assert _command("predict", run.path, folder / "images", "--out", "runs/said") == 0
    assert len(list((tmp_path / "runs" / "said" / "volumes").iterdir())) == 5
    why = ("--method", "layer-cam", "--target", "label 1", "--out", "runs/why")
    assert _command("explain", run.path, folder / "images", *why) == 0
    assert _command("store", run.path, folder, "runs/maps.zarr", "--layers", "down0a_conv") == 0
    assert search_outputs(tmp_path / "runs", set(markers)) == []


def _command(*words: object) -> int:
    return command([str(word) for word in words])


def test_paths_are_shown_on_the_error_stream_alone_and_only_when_asked_for(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ZQfolderKW" / "images" / "a.nii.gz"
    for name in ("images", "labels"):
        (tmp_path / "ZQfolderKW" / name).mkdir(parents=True)
        planted_nifti(tmp_path / "ZQfolderKW" / name / "a.nii.gz", 1, np.ones((8, 8, 3), np.int16))
    assert _command("scan", path.parents[1]) == 0
    quiet = capfd.readouterr()
    assert "ZQ" not in quiet.out + quiet.err
    assert _command("scan", path.parents[1], "--show-paths") == 0
    told = capfd.readouterr()
    assert "ZQ" not in told.out
    line = next(line for line in told.err.splitlines() if "a.nii.gz" in line)
    assert line.startswith("study-") and str(path.parent) in line
