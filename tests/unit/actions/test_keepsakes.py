"""The pictures kept for a report: the worst mistakes, right answers of every class, and their way back from disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convscope.actions.keepsakes import MISTAKES, RIGHT, choose, keep, kept, short_names, visible
from convscope.data.opening import read_data
from convscope.errors import RunError
from convscope.records.geometry import Preprocess
from convscope.records.prediction import Predictions


def predicted(
    truth: np.ndarray, says: np.ndarray, sure: np.ndarray, keys: tuple[str, ...] | None = None
) -> Predictions:
    classes = tuple("abc"[: int(max(truth.max(), says.max())) + 1])
    scores = np.full((len(truth), len(classes)), 0.0)
    scores[np.arange(len(truth)), says] = sure
    rest = (1 - sure) / (len(classes) - 1)
    scores[scores == 0] = np.repeat(rest, len(classes) - 1)
    names = keys or tuple(f"p{i}" for i in range(len(truth)))
    return Predictions(task="classify", keys=names, classes=classes, scores=scores, truth=truth)


def test_worst_mistakes_first_then_the_surest_right_of_each_class_in_turn() -> None:
    truth = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 0])
    says = np.array([0, 0, 1, 1, 1, 0, 2, 2, 2, 0])
    sure = np.array([0.7, 0.9, 0.6, 0.8, 0.95, 0.99, 0.5, 0.6, 0.55, 0.8])
    rows, looked_at = choose(predicted(truth, says, sure))
    assert rows[:2].tolist() == [5, 2]  # wrong at 0.99, then at 0.6
    assert rows[2:].tolist() == [1, 4, 7, 9, 3, 8, 0, 6]
    assert [int(rows[p]) for p in looked_at] == [1, 4, 5, 2]  # two that were right, the two worst


def test_a_perfect_network_and_a_hopeless_one() -> None:
    truth = np.arange(200) % 2
    sure = np.linspace(0.6, 0.99, 200)
    rows, looked_at = choose(predicted(truth, truth, sure))
    assert len(rows) == RIGHT and np.bincount(truth[rows]).tolist() == [RIGHT // 2, RIGHT // 2]
    assert len(looked_at) == 2
    rows, looked_at = choose(predicted(truth, 1 - truth, sure))
    assert len(rows) == MISTAKES and sure[rows].min() >= np.sort(sure)[-MISTAKES]
    assert looked_at == (0, 1)


def test_kept_pictures_come_back_as_the_network_saw_them(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), np.uint8)
    truth = np.arange(12) % 2
    samples = read_data((x, truth))
    says = np.where(np.arange(12) == 7, 1 - truth, truth)
    found = predicted(truth, says, np.linspace(0.6, 0.9, 12), tuple(samples.pictures.keys))
    keep(tmp_path, samples, found, Preprocess(16, 16))
    back = kept(tmp_path)
    assert back.rows[0] == 7 and len(back.rows) == 12
    assert np.array_equal(back.images, x[back.rows])
    assert np.array_equal(back.shown(0), x[7])
    assert [p.name for p in tmp_path.iterdir()] == ["pictures.npz"]
    with pytest.raises(RunError, match="convscope evaluate"):
        kept(tmp_path / "elsewhere")


def test_arrays_of_any_range_become_visible() -> None:
    line = np.array([[-1.0, 0.0, 1.0]], np.float32)[:, :, None]
    assert visible(line, (-1.0, 1.0)).ravel().tolist() == [0, 128, 255]
    assert visible(np.zeros((2, 2, 5), np.uint8)).shape == (2, 2, 3)
    assert visible(np.zeros((2, 2, 2), np.uint8)).shape == (2, 2, 1)


def test_names_lose_their_folders_where_pictures_stay_apart():
    assert short_names(("a/x.jpg", "a/x.jpg", "b/y.jpg")) == ("x.jpg", "x.jpg", "y.jpg"), "a row for each box"
    assert short_names(("a/x.jpg", "b/x.jpg")) == ("a/x.jpg", "b/x.jpg")
