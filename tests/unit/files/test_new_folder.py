"""A folder that something new begins in: as it was before when nothing comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from convscope.errors import ConvscopeError, PlanError, StorageError
from convscope.files.lock import new_folder


def fail_in(folder: Path, *names: str, error: ConvscopeError, inside: str = "") -> None:
    begun, learned = f"{inside}journal.jsonl", f"{inside}checkpoints/*"
    with pytest.raises(type(error)), new_folder(folder, begun=begun, learned=learned):
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text("half")
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("begun")
        raise error


@pytest.mark.parametrize(
    ("error", "written"),
    [
        (StorageError("full"), ("plan.toml",)),
        (PlanError("unknown loss"), ("plan.toml", "journal.jsonl")),  # refused after the journal's first line
    ],
)
def test_what_never_began_leaves_nothing_not_even_its_parents(
    tmp_path: Path, error: ConvscopeError, written: tuple[str, ...]
) -> None:
    fail_in(tmp_path / "runs" / "a", *written, error=error)
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_before_stays(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("kept")
    fail_in(mine, "plan.toml", error=PlanError("no"))
    assert [p.name for p in mine.iterdir()] == ["notes.txt"]
    assert (mine / "notes.txt").read_text() == "kept"


@pytest.mark.parametrize("inside", ["", "fold-1/"])
@pytest.mark.parametrize(
    ("error", "written"),
    [(StorageError("full"), "journal.jsonl"), (PlanError("no such metric"), "checkpoints/epoch-0001")],
)
def test_what_has_begun_stays(tmp_path: Path, error: ConvscopeError, written: str, inside: str) -> None:
    fail_in(tmp_path / "run", f"{inside}{written}", error=error, inside=inside and "*/")
    assert (tmp_path / "run" / "inner" / "file").exists()
    assert (tmp_path / "run" / f"{inside}{written}").exists()
