"""Freed memory serves the next step: page faults, and when it is asked for."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from backends.test_training_resume import PLAN, job, network
from convscope.backend.devices import is_tensorflow_on_cpu
from convscope.backend.malloc import keep_freed_blocks
from convscope.training import turning
from convscope.training.fit import fit

pytestmark = pytest.mark.backend


COUNT = """
import ctypes, resource
import numpy as np
from convscope.backend.malloc import keep_freed_blocks

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(40):
        np.ones(1 << 20, np.uint8)  # 256 pages taken, filled and freed
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

library = ctypes.CDLL(None)
if hasattr(library, "gnu_get_libc_version"):
    library.mallopt(-1, 128 * 1024)  # as TensorFlow's generator data sets do
    library.mallopt(-3, 128 * 1024)
before = faults()
print(int(keep_freed_blocks()), before, faults())
"""


def test_freed_blocks_are_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own: a heap with holes takes such blocks without asking for memory."""
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    done = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    was_set, before, after = map(int, done.stdout.split())
    if not was_set:
        assert sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "gnu_get_libc_version")
        return
    assert before > 40 * 200
    assert after < 40 * 20


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
