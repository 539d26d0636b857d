"""Finding runs by path, name or `last`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from convscope.actions.opening import find_run, open_any
from convscope.errors import BundleError, RunError
from convscope.files.journal import JournalFile


def make_run(folder: Path, when: int) -> Path:
    JournalFile(folder).write("start")
    os.utime(folder / "journal.jsonl", (when, when))
    return folder


def test_last_is_the_newest_journal(tmp_path: Path) -> None:
    make_run(tmp_path / "b", 200)
    make_run(tmp_path / "a", 300)
    make_run(tmp_path / "c", 100)
    assert find_run("last", tmp_path).name == "a"
    assert find_run("c", tmp_path).name == "c"
    assert find_run(tmp_path / "b", tmp_path / "none").name == "b"


def test_a_missing_run_says_the_nearest(tmp_path: Path) -> None:
    make_run(tmp_path / "cells", 100)
    with pytest.raises(RunError, match="did you mean cells"):
        find_run("celsl", tmp_path)
    with pytest.raises(RunError, match="found none; make one"):
        find_run("last", tmp_path / "empty")


def test_pickles_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"anything")
    with pytest.raises(BundleError, match="opening them runs code"):
        open_any(tmp_path / "model.pt")
