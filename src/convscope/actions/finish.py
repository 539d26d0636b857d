"""After training: calibrate on validation, score what was kept back, judge the curves, save model and numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from convscope.actions.dataset import Parts
from convscope.actions.laid_out import lay_out
from convscope.actions.learned import learned_verdicts
from convscope.actions.network import Prepared
from convscope.actions.opening import BUNDLE, KERAS_FILE
from convscope.actions.provenance import run_provenance
from convscope.actions.run_folder import EVALUATION, RunFolder
from convscope.actions.steps import steps_for
from convscope.files.atomic import write_json
from convscope.files.journal import JournalFile, plain
from convscope.records.card import Card, Opened
from convscope.records.prediction import Scores
from convscope.records.progress import Progress, silent
from convscope.training.plan import Plan


def finish(run: RunFolder, parts: Parts, prepared: Prepared, plan: Plan, *, progress: Progress = silent) -> None:
    """Write everything that a finished run holds; the bundle comes last, since it marks the run as finished."""
    from convscope.bundle.keras_file import save_keras
    from convscope.bundle.saving import save_bundle

    opened = Opened(prepared.model, _card(parts, prepared, plan), str(run.path))
    opened, scores = steps_for(parts.samples.task).close(run, opened, parts, progress=progress)
    which, kept_back = parts.kept_back
    write_json(run.path / EVALUATION, plain({**scores.as_dict(), "pictures": which}))
    lay_out(run.path, opened, kept_back, plan, progress=progress)
    assert opened.card is not None  # made above
    card = replace(opened.card, scores={name: vars(value) for name, value in scores.values.items()})
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
        output_kind=prepared.output_kind or output_kind(prepared.model, parts.samples.task),
        feature_layer=prepared.feature_layer,
        plane=getattr(parts.samples.pictures, "plane", ""),
        window=plan.window,
        provenance=run_provenance(parts, prepared, plan),
    )


def judge(run: RunFolder, parts: Parts, plan: Plan, *, diverged: bool = False) -> None:
    """Write the verdicts on the curves; a resumed run is judged anew, and only its last round counts."""
    from convscope.training.verdict import giveaways, verdicts

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
        given_away=giveaways(parts.audit),
        diverged=diverged,
    )
    journal = JournalFile(run.path)
    for verdict in [*found, *learned_verdicts(run.events)]:
        journal.write("verdict", round=number, **vars(verdict))
