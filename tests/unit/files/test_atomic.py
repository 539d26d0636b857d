"""Atomic writes: the old file survives every failure, the new one is whole, leftovers are swept."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from convscope.errors import BundleError, RunError, RunLockedError, StorageError
from convscope.files import atomic
from convscope.files.journal import JournalFile, read_journal
from convscope.files.lock import FolderLock
from convscope.files.manifest import check_manifest, write_manifest


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_old_file_survives_a_failing_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    target = tmp_path / "a.json"
    atomic.write_json(target, {"old": 1})

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(StorageError, match=r"can't write .*a\.json"):
        atomic.write_json(target, {"new": 2})
    monkeypatch.undo()
    assert json.loads(target.read_text()) == {"old": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="the disk is full; free some space"):
        atomic.write_bytes(tmp_path / "b", b"x")


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match=r"is a file, not a folder|check the path"):
        atomic.write_bytes(tmp_path / "file" / "b", b"x")


def test_folder_is_whole_or_absent(tmp_path: Path) -> None:
    target = tmp_path / "checkpoint"
    with pytest.raises(RuntimeError), atomic.atomic_folder(target) as folder:
        (folder / "one").write_text("1")
        raise RuntimeError("stopped half way")
    assert list(tmp_path.iterdir()) == []
    with atomic.atomic_folder(target) as folder:
        (folder / "one").write_text("1")
    with atomic.atomic_folder(target) as folder:
        (folder / "two").write_text("2")
    assert [p.name for p in target.iterdir()] == ["two"]


def test_sweep_puts_back_a_folder_killed_between_two_renames(tmp_path: Path) -> None:
    (tmp_path / ".tmp-old-99-model.cvs").mkdir()
    (tmp_path / ".tmp-98-model.cvs").mkdir()
    assert atomic.sweep_temporary(tmp_path) == [".tmp-98-model.cvs"]
    assert [p.name for p in tmp_path.iterdir()] == ["model.cvs"]


def test_kill_while_writing_leaves_the_last_whole_file(tmp_path: Path) -> None:
    """Twelve kills at random instants of a process that does nothing but write."""
    writer = (
        "import sys, pathlib\nfrom convscope.files.atomic import write_bytes\n"
        "target = pathlib.Path(sys.argv[1])\nk = 0\n"
        "while True:\n    write_bytes(target, bytes([k % 251]) * 3_000_000)\n    k += 1\n"
    )
    target = tmp_path / "blob"
    for attempt in range(12):
        process = subprocess.Popen([sys.executable, "-c", writer, str(target)])
        deadline = time.monotonic() + 20
        while not target.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.013 * attempt)
        process.send_signal(signal.SIGKILL)
        process.wait()
        data = target.read_bytes()
        assert len(data) == 3_000_000
        assert len(set(data)) == 1
    atomic.sweep_temporary(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["blob"]


def test_manifest_finds_every_flipped_bit(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(bytes(range(256)))
    write_manifest(tmp_path, "bundle")
    check_manifest(tmp_path, "bundle")
    for place in range(0, 256, 17):
        data = bytearray(range(256))
        data[place] ^= 1
        (tmp_path / "weights").write_bytes(data)
        with pytest.raises(BundleError, match="SHA-256 differs"):
            check_manifest(tmp_path, "bundle")


def test_manifest_refuses_names_outside(tmp_path: Path) -> None:
    outside = {"kind": "bundle", "format": 1, "files": {"../secret": {"bytes": 1, "sha256": "0"}}}
    (tmp_path / "manifest.json").write_text(json.dumps(outside))
    with pytest.raises(BundleError, match="outside it"):
        check_manifest(tmp_path, "bundle")


def test_second_writer_is_refused_by_pid(tmp_path: Path) -> None:
    holder = (
        "import sys, pathlib, time\nfrom convscope.files.lock import FolderLock\n"
        "with FolderLock(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", holder, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(RunLockedError, match=f"pid {process.pid} "), FolderLock(tmp_path):
            pass
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    with FolderLock(tmp_path):  # the dead holder's lock is gone
        pass


def test_journal_survives_a_torn_last_line(tmp_path: Path) -> None:
    journal = JournalFile(tmp_path)
    journal.write("start", seed=7)
    journal.write("epoch", loss=float("nan"))
    with open(journal.path, "ab") as file:
        file.write(b'{"event": "epo')
    assert [e["event"] for e in read_journal(tmp_path)] == ["start", "epoch"]
    JournalFile(tmp_path).write("end")
    events = read_journal(tmp_path)
    assert [(e["event"], e["step"]) for e in events] == [("start", 0), ("epoch", 1), ("end", 2)]
    assert events[1]["loss"] is None


def test_damaged_journal_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_bytes(b'{"event": "start"}\nnot json\n{"event": "end"}\n')
    with pytest.raises(RunError, match=r"journal\.jsonl:2"):
        read_journal(tmp_path)
