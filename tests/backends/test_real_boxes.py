"""Blood cells, real pictures (det-bccd): detectors learn to find them in a minute, and well in the proof of hours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import convscope
from convscope.actions.dataset import open_samples

pytestmark = pytest.mark.real_data
ROOT = Path(__file__).parents[2]
QUICK = convscope.Plan(
    image_size=(96, 128), pyramid_channels=32, test_share=0.25, val_share=0.1, batch_size=8, head_epochs=6, epochs=0,
    unfreeze=0, schedule="one-cycle", clipnorm=10.0, patience=0, watch_pictures=0, watch_layers=False,
)  # fmt: skip


@pytest.mark.parametrize(("model", "rate"), [("yolo", 8e-3), pytest.param("faster-rcnn", 2e-3, marks=pytest.mark.slow)])
def test_a_minute_of_training_finds_cells(model: str, rate: float, real_data: Path, tmp_path: Path) -> None:
    """64 pictures at a fifth of their size: most red cells are found, where an untrained head finds none."""
    plan = QUICK.model_copy(update={"model": model, "learning_rate": rate})
    some = open_samples(real_data / "det-bccd", plan).subset(np.arange(64))
    run = convscope.train(some, plan=plan, out=tmp_path / "run")
    scores = run.scores
    assert run.card.task == "detect" and scores.headline == "map_50"
    assert np.isfinite([[v for k, v in row.items() if k.endswith("loss")] for row in run.history.epochs]).all()
    assert scores.per_class["RBC"]["ap_50"] > 0.3 and scores.values["map_50"].value > 0.15


@pytest.mark.slow
@pytest.mark.hours
@pytest.mark.timeout(6 * 3600)
def test_both_detectors_reach_the_goal_over_three_seeds(real_data: Path, tmp_path: Path) -> None:
    """The proof itself, anew: mAP at 0.5, lower end of the interval over seeds, at least 0.75."""
    command = [sys.executable, "-m", "benchmarks.detect_bccd", "--check", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
