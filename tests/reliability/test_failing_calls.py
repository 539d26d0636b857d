"""Every n-th write, fsync, rename or new file fails: a clear error, nothing whole is lost, and the run goes on."""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from backends.test_training_resume import PLAN as LONG
from backends.test_training_resume import assert_equal, everything, job, network
from convscope.errors import StorageError
from convscope.files import tensors
from convscope.files.journal import JournalFile, read_journal
from convscope.models.network import Network
from convscope.records.run import History
from convscope.training.checkpoint import checkpoints, newest_valid
from convscope.training.fit import fit

pytestmark = pytest.mark.backend

CODES = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EMFILE, errno.EACCES)
PLAN = LONG.with_changes({"epochs": 2, "keep_checkpoints": 2, "schedule": "constant", "warmup_epochs": 0})


class Faults:
    """Counts the calls below one folder that make something last, and fails one of them."""

    def __init__(self, folder: Path, fail_at: int | None) -> None:
        self.folder, self.fail_at, self.calls = str(folder), fail_at, 0

    def __call__(self, path: object) -> None:
        if isinstance(path, str | os.PathLike) and not os.fspath(path).startswith(self.folder):
            return
        self.calls += 1
        if self.calls == self.fail_at:
            code = CODES[self.calls % len(CODES)]
            raise OSError(code, os.strerror(code), str(path))


@contextmanager
def failing(folder: Path, fail_at: int | None) -> Iterator[Faults]:
    """fsync, rename, mkdir, opening for writing and safetensors' own writer, which is Rust."""
    faults = Faults(folder, fail_at)
    with pytest.MonkeyPatch.context() as patch:

        def watch(owner: object, name: str, path_at: int = 0) -> None:
            real = getattr(owner, name)

            def call(*given: object, **named: object) -> object:
                faults(given[path_at])
                return real(*given, **named)

            patch.setattr(owner, name, call)

        watch(os, "fsync")
        watch(os, "replace")
        watch(os, "rename")
        watch(os, "mkdir")
        watch(tensors, "save_file", 1)
        real_open = io.open

        def opened(path: object, mode: str = "r", *given: object, **named: object) -> object:
            if set(mode) & set("wax+"):
                faults(path)
            return real_open(path, mode, *given, **named)

        patch.setattr(io, "open", opened)
        patch.setattr(builtins, "open", opened)
        yield faults


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, int]:
    """What is right, and how many calls an undisturbed run makes."""
    folder = tmp_path_factory.mktemp("whole")
    net = network()
    with failing(folder, None) as faults:
        JournalFile(folder).write("start")
        history = fit(net, job(PLAN), folder=folder)
    return everything(net, history), faults.calls


def fails_and_goes_on(folder: Path, number: int, expected: object) -> None:
    net = network()
    with failing(folder, number):
        try:
            JournalFile(folder).write("start")
            history = fit(net, job(PLAN), folder=folder)
        except StorageError as error:
            assert len(str(error).splitlines()) == 1
            assert str(error).startswith("can't write ")
        else:  # some calls may fail without harm: an old checkpoint that was to be removed stays
            assert_equal(everything(net, history), expected)
            return
    if not (folder / "journal.jsonl").exists():
        JournalFile(folder).write("start")
    assert read_journal(folder)[0]["event"] == "start"
    if checkpoints(folder):
        saved, damaged = newest_valid(folder)
        assert damaged == []
        assert saved.folder == checkpoints(folder)[0]
    again = network()
    history = fit(again, job(PLAN), folder=folder, resume=True)
    assert_equal(left_behind(again, history, folder), expected)
    assert [p for p in folder.rglob(".tmp-*")] == []


def left_behind(network: Network, history: History, folder: Path) -> tuple[Any, Any, Any]:
    """As `everything`; a run that was whole when resumed has its optimizer's state in its last checkpoint only."""
    saved, _ = newest_valid(folder)
    optimizer = getattr(network.model, "optimizer", None)
    network.model.optimizer = optimizer or SimpleNamespace(variables=[])
    weights, moments, rows = everything(network, history)
    return weights, moments or saved.optimizer, rows


@pytest.mark.parametrize("share", [0.01, 0.2, 0.37, 0.52, 0.68, 0.83, 0.97, 0.99])
def test_a_failing_call_is_one_line_and_the_run_goes_on(
    whole: tuple[object, int], tmp_path: Path, share: float
) -> None:
    expected, calls = whole
    fails_and_goes_on(tmp_path, 1 + int(share * calls), expected)


@pytest.mark.slow
@pytest.mark.hours
@pytest.mark.timeout(2 * 3600)
def test_every_call_in_turn(whole: tuple[object, int], tmp_path: Path) -> None:
    expected, calls = whole
    notes = Path(os.environ.get("CONVSCOPE_RELIABILITY", tmp_path)) / f"{os.environ.get('KERAS_BACKEND')}-calls.txt"
    first = int(notes.read_text()) if notes.exists() else 1
    for number in range(first, calls + 1):
        fails_and_goes_on(tmp_path / str(number), number, expected)
        notes.parent.mkdir(parents=True, exist_ok=True)
        notes.write_text(str(number + 1))
