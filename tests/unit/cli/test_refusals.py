"""Other data on a resume, a disk that fills up at the very end, no permission: one line, exit code 2, nothing torn."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backends.pictures import bars
from convscope.cli.app import run

NOBODY = 65534
SMALL = ("--model", "simple-cnn", "--image-size", "16", "--filters", "4", "--epochs", "1", "--batch-size", "8",
         "--watch-pictures", "0", "--no-report")  # fmt: skip


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    capsys.readouterr()
    assert run(argv) == 2
    lines = [line for line in capsys.readouterr().err.strip().splitlines() if line.startswith("convscope: ")]
    assert len(lines) == 1
    return lines[0]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@contextmanager
def without_privilege() -> Iterator[None]:
    """The superuser may read everything: act as nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_to_all(tmp_path: Path) -> Path:
    """A folder that any account can reach: pytest's own are closed to others."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and ("pytest" in folder.name or "popen" in folder.name):
            folder.chmod(0o755)
    tmp_path.chmod(0o755)
    return tmp_path


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_a_full_disk_at_the_end_and_a_resume_with_other_data(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from convscope.bundle import saving

    root, out = bars(tmp_path / "p", per_class=16, side=16), tmp_path / "run"

    def full(path: Path, *_: object) -> None:
        path.write_bytes(b"half a tensor")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(saving, "write_tensors", full)
        line = refused(capsys, "train", str(root), *SMALL, "--out", str(out))
    assert "can't write" in line and "model.cvs" in line and "the disk is full; free some space" in line
    assert not (out / "model.cvs").exists()
    assert not [p for p in out.rglob("*") if p.name.startswith(".tmp")]
    assert list((out / "checkpoints").iterdir())  # what was learned is kept: --resume finishes the run

    before = contents(out)
    other = bars(tmp_path / "other", per_class=16, side=16, seed=1)
    (other / "lying" / "000.png").rename(other / "lying" / "new.png")
    line = refused(capsys, "train", "--resume", str(out), str(other))
    assert "expected the data that this run was started with" in line and "--continue-from" in line
    assert "missing 'lying/000.png'" in line
    relabelled = bars(tmp_path / "relabelled", per_class=16, side=16)
    (relabelled / "lying" / "000.png").write_bytes((relabelled / "standing" / "001.png").read_bytes() + b"\0")
    assert "changed labels or files" in refused(capsys, "train", "--resume", str(out), str(relabelled))
    line = refused(capsys, "train", "--resume", str(out), "--batch-size", "4")
    assert "batch_size" in line and "new run" in line
    assert contents(out) == before  # refused before anything was touched

    assert run(["train", "--resume", str(out), "--no-report"]) == 0  # the disk has room again
    assert (out / "model.cvs" / "manifest.json").is_file()


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX systems")
def test_no_permission_is_said_of_folder_and_picture(capsys: pytest.CaptureFixture[str], open_to_all: Path) -> None:
    root = bars(open_to_all / "p", per_class=8, side=16)
    assert run(["scan", str(root)]) == 0  # loads all that the account may not be able to read
    (root / "lying" / "003.png").chmod(0)
    with without_privilege():
        assert run(["scan", str(root)]) == 0
    assert "no permission to read it" in capsys.readouterr().out
    root.chmod(0)
    try:
        with without_privilege():
            line = refused(capsys, "scan", str(root))
    finally:
        root.chmod(0o755)
    assert "permission" in line and str(root) in line


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX systems")
def test_no_permission_to_write_a_plan(capsys: pytest.CaptureFixture[str], open_to_all: Path) -> None:
    closed = open_to_all / "closed"
    closed.mkdir(mode=0o555)
    assert run(["plan", "--out", str(open_to_all / "ok.toml")]) == 0
    with without_privilege():
        line = refused(capsys, "plan", "--out", str(closed / "plan.toml"))
    assert "no permission to write there; choose another folder" in line
    assert list(closed.iterdir()) == []


def test_two_sides_of_a_frame_are_joined_by_a_comma_and_a_word_too_many_is_named(tmp_path, capsys):
    missing = str(tmp_path / "missing")
    assert "did not expect 128" in refused(capsys, "train", missing, "--image-size", "96", "128")
    for told in (("--image-size", "96,128"), ("--filters", "8,16"), ("--filters", "8", "--filters", "16")):
        assert "found nothing there" in refused(capsys, "train", missing, *told), "the options were read"
