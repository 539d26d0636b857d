"""Temperature from validation: for classes and for labels, not for values; applied wherever the run predicts."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit

from convscope.actions import score_steps
from convscope.actions.predict import decode
from convscope.data.arrays import read_arrays
from convscope.records.card import Card, Opened
from convscope.records.geometry import Preprocess
from convscope.records.prediction import Predictions
from convscope.records.progress import silent

CARD = Card("multilabel", ("left", "right"), Preprocess(8, 8, 3), "simple-cnn", "probabilities")


def fitted(monkeypatch: pytest.MonkeyPatch, scores: np.ndarray, truth: np.ndarray, card: Card) -> Card:
    said = Predictions(tuple(map(str, range(len(truth)))), scores, card.task, card.classes, truth)
    monkeypatch.setattr(score_steps, "predict_samples", lambda *_, **__: said)
    parts: Any = SimpleNamespace(val=truth)
    opened = score_steps._calibrated(Opened(None, card, ""), parts, silent)
    assert opened.card is not None
    return opened.card


def test_labels_that_are_too_sure_are_cooled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of the answers wrong, all said with 99 %: the temperature that makes them 75 % is ln 99 / ln 3."""
    truth = np.tile([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], (50, 1)).astype(np.float32)
    scores = np.tile(np.array([[0.99, 0.01]], np.float32), (200, 1))
    card = fitted(monkeypatch, scores, truth, CARD)
    assert card.temperature == pytest.approx(np.log(99) / np.log(3), rel=1e-3)
    assert card.unsure_below == CARD.unsure_below
    pictures = read_arrays(np.zeros((2, 8, 8, 3), np.uint8))
    said = decode(card, np.array([[0.99, 0.4], [0.01, 0.6]], np.float32), pictures).scores
    wanted = expit(logit([[0.99, 0.4], [0.01, 0.6]]) / card.temperature)
    np.testing.assert_allclose(said, wanted, atol=1e-6)


def test_values_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    card = replace(CARD, task="regress", output_kind="values")
    assert fitted(monkeypatch, np.ones((4, 2), np.float32), np.zeros((4, 2), np.float32), card) == card
