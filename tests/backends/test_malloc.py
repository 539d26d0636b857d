"""Freed memory serves the next step: page faults, and when it is asked for."""

from __future__ import annotations

import ctypes
import resource
import sys
from pathlib import Path

import numpy as np
import pytest

from backends.test_training_resume import PLAN, job, network
from convscope.backend.devices import is_tensorflow_on_cpu
from convscope.backend.malloc import keep_freed_blocks
from convscope.training import turning
from convscope.training.fit import fit

pytestmark = pytest.mark.backend


def faults(times: int = 40) -> int:
    """Page faults while blocks of 1 MiB, 256 pages, are taken, filled and freed one after the other."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        np.ones(1 << 20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_freed_blocks_are_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    if not keep_freed_blocks():
        assert sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "gnu_get_libc_version")
        return
    library = ctypes.CDLL("libc.so.6")
    assert library.mallopt(-1, 128 * 1024)  # as TensorFlow's generator data sets do
    assert library.mallopt(-3, 128 * 1024)
    assert faults() > 40 * 200
    assert keep_freed_blocks()
    faults(2)
    assert faults() < 40 * 20


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"])
def test_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1000000")
    assert not keep_freed_blocks()


def test_every_epoch_asks_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Validation has a data set of its own, so once is not enough."""
    asked = []
    monkeypatch.setattr(turning, "keep_freed_blocks", lambda: asked.append(1))
    fit(network(), job(PLAN.with_changes({"epochs": 2})), folder=tmp_path)
    assert len(asked) == (2 if is_tensorflow_on_cpu() else 0)
