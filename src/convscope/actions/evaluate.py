"""`convscope evaluate`: how right a trained network is, on its own kept-back pictures or on new ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from convscope.actions.dataset import Parts, open_samples, read_as_trained, read_split
from convscope.actions.predict import known_card
from convscope.actions.run_folder import RunFolder
from convscope.actions.steps import steps_for
from convscope.errors import DataError, RunError
from convscope.records.prediction import Scores
from convscope.records.progress import Progress, silent
from convscope.records.samples import Samples


def evaluate_run(run: RunFolder, data: Any = None, *, progress: Progress = silent) -> Scores:
    """Score the run's model.

    Args:
        run: a finished run.
        data: pictures with labels of the same classes; None for the pictures that the run kept back.
        progress: told how far it is.

    Raises:
        DataError: other classes than the model knows.
        RunError: the run's own data is not where it was.
    """
    if data is None and not _data_path(run):
        return run.scores  # arrays are gone with their process; the scores of the end of training stand
    card = known_card(run.opened)
    samples = kept_back(run) if data is None else read_as_trained(data, card)
    return steps_for(card.task).score(run.opened, samples, progress=progress)


def parts_of(run: RunFolder) -> Parts:
    """The run's data with its split, opened again from where it lay.

    Raises:
        RunError: it was trained on arrays, or the data changed.
    """
    path = _data_path(run)
    if path is None:
        raise RunError(f"{run.path}: expected a run on files, it was trained on arrays; give the data again")
    plan = run.plan.with_changes({"task": run.events[0].get("task", run.plan.task)})
    return read_split(run.path, open_samples(Path(path), plan))


def kept_back(run: RunFolder) -> Samples:
    """The run's test pictures, or its validation pictures where it has no test part."""
    return parts_of(run).kept_back[1]


def _data_path(run: RunFolder) -> str | None:
    start = next((e for e in run.events if e["event"] == "start"), {})
    path = start.get("data_path")
    return str(path) if path else None


def matched(samples: Samples, classes: tuple[str, ...]) -> Samples:
    """The same samples with the model's class order.

    Raises:
        DataError: a class that the model does not know.
    """
    if samples.classes == classes or samples.truth is None:
        return samples
    unknown = [name for name in samples.classes if name not in classes]
    if unknown:
        raise DataError(
            f"expected the classes {', '.join(classes[:8])}, found {', '.join(unknown[:5])}; "
            "rename the folders, or leave them out"
        )
    place = np.array([classes.index(name) for name in samples.classes])
    if samples.task == "classify":
        return replace(samples, truth=place[samples.truth], classes=classes)
    if samples.task == "detect":
        truth = np.empty(len(samples), object)
        truth[:] = [replace(boxes, labels=place[boxes.labels]) for boxes in samples.truth]
        return replace(samples, truth=truth, classes=classes)
    if samples.task == "segment":
        raise DataError(
            f"expected masks with the classes {', '.join(classes)} in this order, found {', '.join(samples.classes)}"
        )
    truth = np.zeros((len(samples), len(classes)), np.float32)
    truth[:, place] = samples.truth
    return replace(samples, truth=truth, classes=classes)
