"""Runs that end early: by SIGTERM, a NaN, no memory, a full disk; and two processes on one folder."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import convscope
from backends.test_training_resume import PLAN as LONG
from backends.test_training_resume import Kill, Killed, assert_equal, everything, job, network
from convscope.backend.memory import is_out_of_memory
from convscope.errors import RunLockedError, StorageError
from convscope.files import journal as journal_module
from convscope.files.journal import JournalFile, read_journal
from convscope.files.lock import LOCK, FolderLock
from convscope.training.batch_pictures import batch_keys
from convscope.training.checkpoint import checkpoints, newest_valid, read_checkpoint
from convscope.training.fit import DivergedError, TrainingStopped, fit
from convscope.training.memory import OutOfMemoryError, largest_fitting
from convscope.training.signals import StopRequest
from reliability.killing import Victims, wait_for

pytestmark = pytest.mark.backend

PLAN = LONG.with_changes({"epochs": 2, "ema": 0.0, "schedule": "constant", "warmup_epochs": 0.0})


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    made = Victims(ahead=0)
    yield made
    made.close()


def test_sigterm_ends_a_real_run_within_ten_seconds_with_a_checkpoint(victims: Victims, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = victims.send(run, plan={"epochs": 10_000, "schedule": "constant", "warmup_epochs": 0.0})
    wait_for(lambda: (run / "checkpoints").is_dir() and checkpoints(run), 120)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143
    stopped = read_journal(run)[-1]
    assert stopped["event"] == "stop"
    assert stopped["clock_s"] - began < 10  # one monotonic clock for all processes; the rest is Python's own exit
    _, damaged = newest_valid(run)
    assert damaged == []


class Slow(keras.callbacks.Callback):
    """A validation pass that takes minutes, and a SIGTERM in it."""

    ended = False

    def on_test_begin(self, logs: Any = None) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            time.sleep(0.05)
        self.ended = True


def test_sigterm_in_a_long_step_does_not_wait_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = StopRequest.__init__
    monkeypatch.setattr(StopRequest, "__init__", lambda self: real(self, patience_s=0.5))
    slow = Slow()
    with pytest.raises(TrainingStopped, match="the last checkpoint counts") as stopped:
        fit(network(), job(PLAN), folder=tmp_path, callbacks=[slow])
    assert stopped.value.exit_code == 143
    assert not slow.ended
    monkeypatch.undo()
    net = network()
    history = fit(net, job(PLAN), folder=tmp_path, resume=True)
    straight = network()
    assert_equal(everything(net, history), everything(straight, fit(straight, job(PLAN), folder=tmp_path / "whole")))


def test_a_nan_names_the_batch_and_its_pictures_and_keeps_the_finite_checkpoint(tmp_path: Path) -> None:
    class Poison(keras.callbacks.Callback):
        """Weights that explode at the fourth step."""

        left = 4

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self.left -= 1
            if self.left == 0 and keras.backend.backend() != "jax":
                kernel = next(layer for layer in self.model.layers if hasattr(layer, "kernel")).kernel
                kernel.assign(kernel * np.nan)

    plan = PLAN.with_changes({"learning_rate": 1e30 if keras.backend.backend() == "jax" else 0.01, "optimizer": "sgd"})
    the_job = job(plan)
    with pytest.raises(DivergedError) as refused:
        fit(network(), the_job, folder=tmp_path, callbacks=[Poison()])
    words = str(refused.value)
    epoch, batch = (int(words.partition(f"{w} ")[2].partition(e)[0]) for w, e in (("epoch", ","), ("batch", " ")))
    for key in batch_keys(the_job, epoch - 1, batch - 1)[:4]:
        assert key in words
    assert len(words.splitlines()) == 1
    for path in checkpoints(tmp_path):
        assert all(np.isfinite(w).all() for w in read_checkpoint(path).weights), path.name
    assert read_journal(tmp_path)[-1]["event"] == "stop"


def test_the_largest_batch_is_found_by_halving_and_bisection() -> None:
    tried: list[int] = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= 21

    assert largest_fitting(64, fits) == 20
    assert tried == [32, 16, 24, 20, 22]
    assert largest_fitting(1, fits) == 0
    assert largest_fitting(8, lambda size: False) == 0


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes."), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory"), True),
        (type("ResourceExhaustedError", (Exception,), {})("OOM when allocating tensor"), True),
        (RuntimeError("shapes differ"), False),
        (KeyError("out of memory"), False),
    ],
)
def test_which_errors_say_that_memory_ran_out(error: Exception, is_memory: bool) -> None:
    assert is_out_of_memory(error) is is_memory


def test_out_of_memory_says_which_batch_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes")

    real = keras.Model.train_on_batch

    def five_fit(self: Any, x: Any, *given: Any, **named: Any) -> Any:
        if len(x) > 5:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes")
        return real(self, x, *given, **named)

    monkeypatch.setattr(keras.Model, "train_on_batch", five_fit)
    with pytest.raises(OutOfMemoryError, match="a batch of 5 fits: --batch-size 5") as refused:
        fit(network(), job(PLAN), folder=tmp_path, callbacks=[Full()])
    assert refused.value.fits == 5
    assert isinstance(refused.value, MemoryError)
    assert "batch of 5" in read_journal(tmp_path)[-1]["reason"]


def test_a_full_disk_ends_the_run_in_one_line_and_it_goes_on_afterwards(tmp_path: Path) -> None:
    whole = network()
    expected = everything(whole, fit(whole, job(PLAN), folder=tmp_path / "whole"))
    with pytest.raises(Killed):
        fit(network(), job(PLAN), folder=tmp_path / "run", callbacks=[Kill(2)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (700, hard))
        with pytest.raises(StorageError) as refused:
            fit(network(), job(PLAN), folder=tmp_path / "run", resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert len(str(refused.value).splitlines()) == 1
    net = network()
    assert_equal(everything(net, fit(net, job(PLAN), folder=tmp_path / "run", resume=True)), expected)


HOLDER = (
    "import sys, pathlib, time\nfrom convscope.files.lock import FolderLock\n"
    "with FolderLock(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
)


def hold(folder: Path) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_and_told_of_the_first(tmp_path: Path) -> None:
    net = network()
    fit(net, job(PLAN), folder=tmp_path)
    process = hold(tmp_path)
    try:
        with pytest.raises(RunLockedError, match=rf"pid {process.pid} on \S+, since 20"):
            FolderLock(tmp_path).__enter__()
    finally:
        process.kill()
        process.communicate()
    with FolderLock(tmp_path) as lock:
        assert f"pid {process.pid}" in lock.taken_over
    with FolderLock(tmp_path) as lock:
        assert lock.taken_over == ""  # it was released


def test_where_there_are_no_locks_the_pid_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    live = {"pid": os.getppid(), "host": os.uname().nodename, "since": "2026"}
    (tmp_path / LOCK).write_text(json.dumps(live))
    with pytest.raises(RunLockedError, match=f"pid {os.getppid()} "):
        FolderLock(tmp_path).__enter__()
    (tmp_path / LOCK).write_text(json.dumps({**live, "pid": 2**22 + 1}))
    with FolderLock(tmp_path) as lock:
        assert "ended without releasing" in lock.taken_over


def test_a_resumed_run_says_whose_lock_it_took_over(tmp_path: Path) -> None:
    x, y = np.zeros((30, 12, 12, 3), np.uint8), np.arange(30) % 3
    x += (60 * y[:, None, None, None]).astype(np.uint8)
    x[:, 0, 0, 0] = np.arange(30)
    small = {"model": "simple-cnn", "weights": "none", "image_size": 12, "fit": "stretch", "filters": (4,)}
    plan = PLAN.with_changes(small)
    convscope.train((x, y), plan=plan.with_changes({"epochs": 1}), out=tmp_path / "run")
    (tmp_path / "run" / LOCK).write_text(json.dumps({"pid": 4, "host": "elsewhere", "since": "2026-01-01"}))
    convscope.resume(tmp_path / "run", data=(x, y), changes={"epochs": 2})
    notes = [e["text"] for e in read_journal(tmp_path / "run") if e["event"] == "note"]
    assert any("pid 4 on elsewhere, since 2026-01-01" in text for text in notes)


def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour back, ten years ahead, between any two events: order is by step, durations by the monotonic clock."""
    whole = network()
    expected = everything(whole, fit(whole, job(PLAN), folder=tmp_path / "whole"))
    jumps = iter([0, -3600, 10 * 365 * 86400, -10 * 365 * 86400] * 1000)

    class Jumping(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(UTC) + timedelta(seconds=next(jumps))

    monkeypatch.setattr(journal_module, "datetime", Jumping)
    monkeypatch.setattr(time, "time", lambda: 1e9 + next(jumps))
    with pytest.raises(Killed):
        fit(network(), job(PLAN), folder=tmp_path / "run", callbacks=[Kill(4)])
    for number, path in enumerate(checkpoints(tmp_path / "run")):  # the newest has the oldest date
        os.utime(path, (1e9 + number * 1e6,) * 2)
    net = network()
    assert_equal(everything(net, fit(net, job(PLAN), folder=tmp_path / "run", resume=True)), expected)
    events = read_journal(tmp_path / "run")
    assert [e["step"] for e in events] == list(range(len(events)))
    assert all(0 <= e["seconds"] < 600 for e in events if e["event"] == "epoch")


def test_checkpoints_are_ordered_by_number_not_by_name(tmp_path: Path) -> None:
    names = ["epoch-9999", "epoch-10000", "epoch-9999-batch-100000", "epoch-9999-batch-99999", "damaged-epoch-99999"]
    for name in names:
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    found = [p.name for p in checkpoints(tmp_path)]
    assert found == ["epoch-10000", "epoch-9999-batch-100000", "epoch-9999-batch-99999", "epoch-9999"]


def test_a_run_killed_before_its_first_checkpoint_begins_anew(tmp_path: Path) -> None:
    plan = PLAN.with_changes({"checkpoint_minutes": 60})
    whole = network()
    expected = everything(whole, fit(whole, job(plan), folder=tmp_path / "whole"))
    JournalFile(tmp_path / "run").write("start")
    with pytest.raises(Killed):
        fit(network(), job(plan), folder=tmp_path / "run", callbacks=[Kill(1)])
    assert checkpoints(tmp_path / "run") == []
    net = network()
    assert_equal(everything(net, fit(net, job(plan), folder=tmp_path / "run", resume=True)), expected)
    assert any("begins anew" in e.get("text", "") for e in read_journal(tmp_path / "run"))
