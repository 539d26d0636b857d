"""Layers while they learn: the callback of a training run, and what its journal then says of every layer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convscope.data.budget import NO_CACHE
from convscope.data.loader import Loader
from convscope.files.journal import JOURNAL, read_journal
from convscope.records.learning import LearningHistory
from convscope.records.report import Section
from convscope.records.run import Verdict
from convscope.reporting.learning import learning_section, learning_words

if TYPE_CHECKING:
    from convscope.actions.network import Prepared  # loads Keras, which the report does not need
    from convscope.training.job import TrainingJob

PICTURES = 8
WORTH_EPOCHS = 4  # shorter trainings say little of themselves, and the looking has to be compiled
_VERDICTS = {"vanishing": "vanishing-gradients", "exploding": "exploding-gradients"}


def watch_layers(folder: Path, job: TrainingJob, prepared: Prepared) -> list[Any]:
    """The callback that a plan asks for; none where it is of no use.

    Args:
        folder: the run folder.
        job: data and plan; the fixed batch is taken evenly from its training pictures, unaugmented.
        prepared: what is trained.
    """
    from convscope.models.detector import Detector
    from convscope.models.loss_parts import LossOutput
    from convscope.models.network import Network
    from convscope.training.kinds import kind_for
    from convscope.training.learning import Learning

    plan, samples = job.plan, job.train
    if not plan.watch_layers or plan.epochs + plan.head_epochs < WORTH_EPOCHS:
        return []
    few = samples.subset(np.unique(np.linspace(0, len(samples) - 1, min(PICTURES, len(samples))).astype(np.int64)))
    loader = Loader(few, prepared.preprocess, batch_size=len(few), cache=NO_CACHE, unreadable="drop")
    batch = loader.batch(0, 0)
    if not len(batch.images):
        return []
    images, truth = kind_for(prepared.trained, job).plain_encoder()(batch)[:2]
    pretrained = isinstance(prepared.trained, Network) and bool(prepared.trained.pretrained)
    how: dict[str, Any] = {"whole": prepared.model}
    if isinstance(prepared.trained, Detector):  # its loss runs layers of its own, so it is looked at as one model
        how = {"whole": LossOutput(prepared.trained.training_model), "loss": _is_the_output}
        how |= {"named_in": prepared.model, "branches": prepared.trained.head}
        images, truth = {"images": images, **truth}, {}
    count = partial(epochs_done, folder)
    return [Learning(images, truth, folder=folder, count=count, has_start=not pretrained, **how)]


def _is_the_output(truth: Any, output: Any) -> Any:
    return output


def epochs_done(folder: Path) -> int:
    """How many epochs the journal tells of, over all phases and resumes."""
    if not (folder / JOURNAL).is_file():
        return 0
    rows = [event["epoch"] for event in read_journal(folder) if event["event"] == "epoch"]
    return int(rows[-1]) if rows else 0


def learned_sections(events: Sequence[dict[str, Any]]) -> list[Section]:
    """The chapter of a report; nothing where the layers were not watched."""
    history = LearningHistory.from_events(events)
    if not history.epochs or not history.layers:
        return []
    checks = [e for e in events if e["event"] == "start check"]
    start = checks[-1]["layers"] if checks else None
    return [learning_section(history, start=start, checked=checks[-1].get("checked", 0) if checks else 0)]


def learned_verdicts(events: Sequence[dict[str, Any]]) -> list[Verdict]:
    """What must be said beside the curves: gradient that vanished or exploded in at least half of the epochs."""
    history = LearningHistory.from_events(events)
    kinds = [k for k in dict.fromkeys(t.kind for t in history.lasting())]
    words = learning_words(history) if kinds else ()
    found = []
    for kind, (title, detail) in zip(kinds, words):
        if kind in _VERDICTS:
            hit = [t for t in history.lasting() if t.kind == kind]
            numbers = {"layers": float(len(hit)), "norm": hit[0].value, "last_layer": hit[0].against}
            found.append(Verdict(_VERDICTS[kind], title, detail, numbers))
    return found
