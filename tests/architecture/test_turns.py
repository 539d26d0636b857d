"""Slow tests take turns: each has its turn after some commit, and a turn that is over fails nothing."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from turns import from_commit

ROOT = Path(__file__).resolve().parents[2]
THREE = """
import pytest, pathlib
@pytest.fixture(scope="module")
def made():
    yield
    pathlib.Path(__file__).with_suffix(".put_away").touch()
@pytest.mark.parametrize("i", [0, 1, 2])
def test_a(made, i): pass
"""


def run(folder: Path, *options: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-v", "-p", "turns", *options]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'tests'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def six(tmp_path: Path) -> Path:
    for name in ("test_one.py", "test_two.py"):
        (tmp_path / name).write_text(THREE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def test_each_place_in_the_order_is_the_first_of_some_commit() -> None:
    items = [SimpleNamespace(nodeid=f"tests/{file}.py::test_{i}") for file in "abcde" for i in range(4)]
    turns = [[i.nodeid for i in from_commit(items[::-1], f"{k:040x}")] for k in range(len(items))]  # type: ignore[arg-type]
    assert {turn[0] for turn in turns} == {i.nodeid for i in items}
    assert all(turn == turns[0][k:] + turns[0][:k] for k, turn in enumerate(turns))
    files = [nodeid.partition("::")[0] for nodeid in turns[0]]
    assert sum(a != b for a, b in itertools.pairwise(files)) == 4, "a file's tests stay together"
    assert files[::4] != sorted(files[::4]), "files are not neighbours by name"


def test_when_the_time_is_over_no_test_begins_and_none_fails(six: Path) -> None:
    code, words = run(six, "--from-commit", "1", "--minutes", "0")
    (ran,) = re.findall(r"^(\S+) PASSED", words, re.M)
    assert code == 0 and f"1 of 6 tests had their turn: from {ran} to {ran}" in words
    assert six.joinpath(ran.partition("::")[0]).with_suffix(".put_away").exists(), "what a module made is put away"


def test_a_turn_goes_round(six: Path) -> None:
    code, words = run(six, "--from-commit", "4")
    ran = re.findall(r"^(\S+) PASSED", words, re.M)
    assert code == 0 and len(set(ran)) == 6 and f"6 of 6 tests had their turn: from {ran[0]} to {ran[-1]}" in words
    assert ran[0].endswith("[1]") and ran[-1].endswith("[0]") and ran[0][:11] == ran[-1][:11]


def test_tests_of_hours_run_when_they_are_asked_for() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-m", "hours", "tests/reliability/test_kills.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert "test_two_hundred_kills" in done.stdout, done.stdout
