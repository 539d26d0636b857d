"""Start victims ahead of time, send them their orders, and compare what they leave with an undisturbed run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from convscope.files.journal import read_journal

VICTIM = Path(__file__).with_name("victim.py")
_TIMES = ("step", "time", "clock_s", "seconds")


class Victims:
    """Processes that have imported everything and wait: importing a back end takes longer than the whole run."""

    def __init__(self, ahead: int = 2) -> None:
        self._ahead, self._waiting = ahead, deque()

    def _start(self) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, str(VICTIM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def send(self, folder: Path, **orders: Any) -> subprocess.Popen:
        """Give the oldest waiting one its orders; a new one starts in its place."""
        while len(self._waiting) <= self._ahead:
            self._waiting.append(self._start())
        process = self._waiting.popleft()
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        process.stdin.write(json.dumps({"folder": str(folder), **orders}) + "\n")
        process.stdin.flush()
        return process

    def run(self, folder: Path, **orders: Any) -> tuple[int, str]:
        """Exit code (negative for a signal) and what was written to standard error."""
        process = self.send(folder, **orders)
        _, words = process.communicate(timeout=180)
        return process.returncode, words

    def close(self) -> None:
        for process in self._waiting:
            process.kill()
            process.communicate()


def left_behind(folder: Path) -> dict[str, Any]:
    """All that must be equal between a disturbed and an undisturbed run, times taken out."""
    newest = max((folder / "checkpoints").glob("epoch-*"), key=lambda p: p.name)
    state = json.loads((newest / "state.json").read_text())
    rows = [{k: v for k, v in row.items() if k not in _TIMES} for row in state["state"]["rows"]]
    arrays = {p.name: load_file(p) for p in sorted(newest.glob("*.safetensors"))}
    rows_told = {e["epoch"]: {k: v for k, v in e.items() if k not in _TIMES} for e in _events(folder, "epoch")}
    verdicts = [(e["kind"], e["detail"]) for e in _events(folder, "verdict")]
    return {
        "place": newest.name, "state": {**state["state"], "rows": rows}, "prints": state["prints"], "arrays": arrays,
        "journal": rows_told, "verdicts": verdicts[-1:], "split": (folder / "split.json").read_bytes(),
        "plan": (folder / "plan.toml").read_bytes(), "predictions": (folder / "predictions.csv").read_bytes(),
        "evaluation": (folder / "evaluation.json").read_bytes(),
        "bundle": (folder / "model.cvs" / "weights.safetensors").read_bytes(),
    }  # fmt: skip


def _events(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [e for e in read_journal(folder) if e["event"] == kind]


def assert_same(mine: dict[str, Any], other: dict[str, Any]) -> None:
    """Bit for bit; arrays by name, so that a difference says where."""
    assert mine.keys() == other.keys()
    for name in mine.keys() - {"arrays"}:
        assert mine[name] == other[name], name
    assert mine["arrays"].keys() == other["arrays"].keys()
    for file, arrays in mine["arrays"].items():
        for key, value in arrays.items():
            np.testing.assert_array_equal(value, other["arrays"][file][key], err_msg=f"{file} {key}")


def kinds_of_leftovers(folder: Path) -> list[str]:
    """Temporary files and folders anywhere in a finished run."""
    return [p.relative_to(folder).as_posix() for p in folder.rglob(".tmp-*")]


def wait_for(condition, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)
