"""Memory of large arrays is kept for the next ones inside the block, and handed back after it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from convscope.scope.freed_memory import _library, freed_memory_kept

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or _library() is None, reason="needs Linux with glibc"
)
SIZE = 64 << 20


def faults() -> int:
    return int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[7])


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def faults_of_ten_arrays() -> int:
    before = faults()
    for _ in range(10):
        np.empty(SIZE, np.uint8).fill(1)
    return faults() - before


def test_arrays_reuse_memory_inside_the_block_and_nothing_stays_after_it() -> None:
    before = resident()
    outside = faults_of_ten_arrays()
    with freed_memory_kept(), freed_memory_kept():
        np.empty(SIZE, np.uint8).fill(1)
        inside = faults_of_ten_arrays()
    assert inside < outside / 20
    assert resident() - before < SIZE / 4
    assert faults_of_ten_arrays() > outside / 2
