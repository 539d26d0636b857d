"""Bad data on the command line: one line that says what is wrong and what to do; nothing half-written."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from backends.pictures import bars
from convscope.cli.app import run

SMALL = ("--model", "simple-cnn", "--image-size", "32", "--filters", "4", "--epochs", "1", "--batch-size", "8")


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Exit code 2, one line; returned."""
    capsys.readouterr()
    assert run(argv) == 2
    lines = [line for line in capsys.readouterr().err.strip().splitlines() if line.startswith("convscope: ")]
    assert len(lines) == 1
    return lines[0]


def test_an_empty_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "found no picture" in refused(capsys, "train", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_path_is_told_before_a_back_end_is_loaded(tmp_path: Path) -> None:
    code = (
        "import sys; from convscope.cli.app import run; code = run(['train', 'nowhere']);"
        "sys.exit(90 if 'keras' in sys.modules else code)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "nowhere: expected a folder or a table" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_one_class(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bars(tmp_path / "p", classes=1)
    line = refused(capsys, "train", str(tmp_path / "p"), *SMALL, "--out", str(tmp_path / "run"))
    assert "class" in line
    assert not (tmp_path / "run").exists()


def test_a_class_with_one_picture_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = bars(tmp_path / "p", per_class=10)
    (root / "lonely").mkdir()
    (root / "lonely" / "only.png").write_bytes((root / "lying" / "000.png").read_bytes()[:-1] + b"\x00")
    line = refused(capsys, "train", str(root), *SMALL, "--out", str(tmp_path / "run"))
    assert "lonely" in line


def test_a_batch_larger_than_the_data(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = bars(tmp_path / "p", per_class=10)
    options = [*SMALL[:-1], "512", "--out", str(tmp_path / "run")]
    line = refused(capsys, "train", str(root), *options)
    assert "512" in line
    assert "batch" in line
    assert not (tmp_path / "run").exists()


def test_a_crop_larger_than_the_pictures(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Also where image_size is not given: then it is the network's own, 64 for the simple CNN."""
    root, small = bars(tmp_path / "p", per_class=10), ("--model", "simple-cnn", "--filters", "4", "--batch-size", "8")
    line = refused(capsys, "train", str(root), *small, "--fit", "crop", "--out", str(tmp_path / "runs" / "run"))
    assert "got 64x64 pixels" in line and "set image_size to at most 32" in line
    assert not (tmp_path / "runs").exists()
    line = refused(capsys, "train", str(root), *small, "--folds", "2", "--fit", "crop", "--out", str(tmp_path / "f"))
    assert "got 64x64 pixels" in line
    assert not (tmp_path / "f").exists()


def test_a_plan_file_with_an_unknown_key(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text("epochz = 3\n")
    line = refused(capsys, "train", str(tmp_path), "--plan", str(tmp_path / "plan.toml"))
    assert "epochz" in line
    assert "did you mean epochs" in line


def test_weights_that_are_not_here_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    root = bars(tmp_path / "p", per_class=10)
    line = refused(
        capsys, "train", str(root), "--model", "resnet50", "--batch-size", "4", "--out", str(tmp_path / "run")
    )
    assert "resnet50" in line
    assert "--download" in line
    assert not (tmp_path / "run").exists()


def test_an_unknown_network_says_the_nearest(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = bars(tmp_path / "p", per_class=10)
    line = refused(
        capsys, "train", str(root), "--model", "resnet5", "--batch-size", "4", "--out", str(tmp_path / "run")
    )
    assert "did you mean" in line
    assert "resnet50" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", ["loss", "optimizer", "activation"])
def test_a_name_that_keras_does_not_know(capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str) -> None:
    """Found out only after the network was built; nothing of the run stays."""
    root = bars(tmp_path / "p", per_class=10)
    line = refused(capsys, "train", str(root), *SMALL, f"--{option}", "nonsense", "--out", str(tmp_path / "run"))
    assert f"unknown {option} 'nonsense'" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(os.name != "posix", reason="needs a file size limit")
def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """No file may grow beyond 60 kB, so the first checkpoint can't be written: one line, exit 2, nothing torn."""
    root = bars(tmp_path / "p", per_class=10)
    out = tmp_path / "run"
    options = ["--model", "simple-cnn", "--image-size", "32", "--filters", "64", "--filters", "64", "--epochs", "1"]

    def limit() -> None:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))

    command = [sys.executable, "-m", "convscope", "train", str(root), *options, "--batch-size", "8", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 2, done.stderr
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("convscope: can't write")
    assert "Traceback" not in done.stderr
    assert [p for p in out.rglob("*") if p.name.startswith(".tmp")] == []
    assert not (out / "model.cvs").exists()
