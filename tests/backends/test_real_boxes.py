"""Blood cells, real pictures (det-bccd): detectors learn to find them in a minute, and well in the proof of hours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.real_data]
ROOT = Path(__file__).parents[2]


@pytest.mark.hours
@pytest.mark.timeout(6 * 3600)
def test_both_detectors_reach_the_goal_over_three_seeds(real_data: Path, tmp_path: Path) -> None:
    """The proof itself, anew: mAP at 0.5, lower end of the interval over seeds, at least 0.75."""
    command = [sys.executable, "-m", "benchmarks.detect_bccd", "--check", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
