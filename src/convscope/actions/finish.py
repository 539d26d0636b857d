"""After training: calibrate on validation, score what was kept back, judge the curves, save model and numbers."""

from __future__ import annotations

from typing import Any

from convscope.actions.dataset import Parts
from convscope.actions.keepsakes import keep
from convscope.actions.network import Prepared
from convscope.actions.opening import BUNDLE, KERAS_FILE
from convscope.actions.predict import predict_samples, write_scored
from convscope.actions.provenance import run_provenance
from convscope.actions.run_folder import EVALUATION, RunFolder
from convscope.files.atomic import write_json
from convscope.files.journal import JournalFile, plain
from convscope.metrics.calibrate import apply_temperature, fit_temperature, unsure_threshold
from convscope.metrics.score import score_predictions
from convscope.records.card import Card, Opened
from convscope.records.prediction import Predictions, Scores
from convscope.records.progress import Progress, silent
from convscope.training.plan import Plan


def finish(run: RunFolder, parts: Parts, prepared: Prepared, plan: Plan, *, progress: Progress = silent) -> None:
    """Write everything that a finished run holds; the bundle comes last, since it marks the run as finished."""
    from convscope.bundle.keras_file import save_keras
    from convscope.bundle.saving import save_bundle

    opened = Opened(prepared.model, _card(parts, prepared, plan), str(run.path))
    opened = _calibrated(opened, parts, progress)
    which, kept_back = parts.kept_back
    predictions = predict_samples(opened, kept_back, progress=progress)
    scores = score_predictions(predictions)
    write_scored(run.path, predictions)
    keep(run.path, kept_back, predictions, prepared.preprocess)
    write_json(run.path / EVALUATION, plain({**scores.as_dict(), "pictures": which}))
    card = _with(opened.card, scores={name: vars(value) for name, value in scores.values.items()})
    save_keras(run.path / KERAS_FILE, prepared.without_training)
    save_bundle(run.path / BUNDLE, prepared.model, card)
    judge(run, parts, plan)
    JournalFile(run.path).write(
        "end", pictures=which, headline=scores.headline, **{scores.headline: vars(_headline(scores))}
    )


def _headline(scores: Scores) -> Any:
    return scores.values[scores.headline]


def _card(parts: Parts, prepared: Prepared, plan: Plan) -> Card:
    from convscope.tasks.outputs import output_kind

    return Card(
        task=parts.samples.task,
        classes=parts.samples.classes,
        preprocess=prepared.preprocess,
        network=prepared.name,
        output_kind=output_kind(prepared.model, parts.samples.task),
        feature_layer=prepared.feature_layer,
        provenance=run_provenance(parts, prepared, plan),
    )


def _with(card: Card | None, **changes: Any) -> Card:
    from dataclasses import replace

    assert card is not None  # made above
    return replace(card, **changes)


def _calibrated(opened: Opened, parts: Parts, progress: Progress) -> Opened:
    """Fit the temperature and the threshold of unsure answers on the validation pictures."""
    card = opened.card
    assert card is not None  # made above
    if card.task != "classify" or not len(parts.val):
        return opened
    found: Predictions = predict_samples(opened, parts.val, progress=progress)
    assert found.truth is not None  # validation pictures have labels
    temperature = fit_temperature(found.scores, found.truth)
    calibrated = apply_temperature(found.scores, temperature)
    threshold = unsure_threshold(calibrated, found.truth)
    return Opened(opened.model, _with(card, temperature=temperature, unsure_below=threshold), opened.where)


def judge(run: RunFolder, parts: Parts, plan: Plan, *, diverged: bool = False) -> None:
    """Write the verdicts on the curves; a resumed run is judged anew, and only its last round counts."""
    from convscope.training.verdict import verdicts

    rounds = [event.get("round", 0) for event in run.events if event["event"] == "verdict"]
    number = max(rounds, default=0) + 1
    samples = parts.samples
    found = verdicts(
        run.history,
        plan,
        n_train=len(parts.split.train),
        n_val=len(parts.split.val),
        n_classes=len(samples.classes) if samples.task == "classify" else None,
        shared=parts.shared,
        diverged=diverged,
    )
    journal = JournalFile(run.path)
    for verdict in found:
        journal.write("verdict", round=number, **vars(verdict))
