"""Classes, labels and values: one answer per picture, calibrated on validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from convscope.actions.dataset import Parts
from convscope.actions.evaluate import matched
from convscope.actions.keepsakes import keep
from convscope.actions.network import Prepared, prepare
from convscope.actions.predict import as_rows, known_card, predict_samples, write_predictions, write_scored
from convscope.actions.run_folder import RunFolder
from convscope.actions.score_page import score_sections
from convscope.metrics.calibrate import apply_temperature, fit_temperature, unsure_threshold
from convscope.metrics.score import score_predictions
from convscope.records.card import Opened
from convscope.records.prediction import Predictions, Scores
from convscope.records.progress import Progress
from convscope.records.report import Section
from convscope.records.samples import Samples
from convscope.training.plan import Plan


class ScoreSteps:
    """The steps of tasks whose truth is numbers per picture; see `steps.Steps`."""

    def prepare(self, plan: Plan, samples: Samples, own: Any) -> Prepared:
        """A network of the catalogue with a head for the classes, or the user's own model."""
        return prepare(plan, samples, own)

    def close(self, run: RunFolder, opened: Opened, parts: Parts, *, progress: Progress) -> tuple[Opened, Scores]:
        """Fit temperature and threshold on validation, then score what was kept back."""
        opened = _calibrated(opened, parts, progress)
        kept_back = parts.kept_back[1]
        predictions = predict_samples(opened, kept_back, progress=progress)
        write_scored(run.path, predictions)
        keep(run.path, kept_back, predictions, known_card(opened).preprocess)
        return opened, score_predictions(predictions)

    def score(self, opened: Opened, samples: Samples, *, progress: Progress) -> Scores:
        """Compare calibrated answers with the truth, classes matched by name."""
        found = matched(samples, known_card(opened).classes)
        return score_predictions(predict_samples(opened, found, progress=progress))

    def say(self, opened: Opened, samples: Samples, *, native_size: bool, progress: Progress) -> Predictions:
        """Calibrated scores."""
        return predict_samples(opened, samples, native_size=native_size, progress=progress)

    def rows(self, said: Predictions) -> list[dict[str, Any]]:
        """One row per picture."""
        return as_rows(said)

    def write(self, folder: Path, said: Predictions, samples: Samples) -> Sequence[Path]:
        """CSV and JSON."""
        write_predictions(folder, said)
        return folder / "predictions.csv", folder / "predictions.json"

    def sections(self, run: RunFolder, *, which: str, progress: Progress) -> list[Section]:
        """Scores, mistakes with their heat, feature maps, augmentation, samples."""
        return score_sections(run, which=which, progress=progress)


def _calibrated(opened: Opened, parts: Parts, progress: Progress) -> Opened:
    """Fit the temperature, and for classes the threshold of unsure answers, on the validation pictures."""
    card = known_card(opened)
    if card.task not in ("classify", "multilabel") or not len(parts.val):
        return opened
    found: Predictions = predict_samples(opened, parts.val, progress=progress)
    assert found.truth is not None  # validation pictures have labels
    card = replace(card, temperature=fit_temperature(found.scores, found.truth, task=found.task))
    if found.task == "classify":
        calibrated = apply_temperature(found.scores, card.temperature)
        card = replace(card, unsure_below=unsure_threshold(calibrated, found.truth))
    return Opened(opened.model, card, opened.where)
