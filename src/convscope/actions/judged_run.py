"""What the judge said of a run's explanations: kept in the run folder, shown in its report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from convscope.actions.evaluate import kept_back
from convscope.actions.network import as_model_input
from convscope.actions.opening import find_run
from convscope.actions.run_folder import RunFolder
from convscope.data.budget import NO_CACHE
from convscope.data.loader import Loader
from convscope.draw.numbers import counted
from convscope.errors import DataError, PlanError
from convscope.explaining.engine import Wish
from convscope.explaining.judge import judge
from convscope.explaining.layers import saved_layer
from convscope.explaining.method import method as registered
from convscope.files.atomic import write_json
from convscope.files.journal import plain
from convscope.files.manifest import MANIFEST
from convscope.records.judgement import Judgement, judgement_from
from convscope.records.progress import Progress, silent
from convscope.records.report import Section
from convscope.reporting.explaining import judgement_section

JUDGED = "judged.json"
METHODS = ("grad-cam", "layer-cam", "integrated-gradients", "guided-backprop")
STEPS = 16  # of integrated gradients: a third of the judge's time, and its gap is small by then


def judge_run(run: RunFolder, count: int, *, progress: Progress = silent) -> Judgement:
    """Judge four methods of different families on pictures kept back from training, and keep what was found.

    Each picture costs about 450 runs of the network, a third of them with gradients.

    Args:
        run: a finished run of a classifier, whose data lie where they lay.
        count: pictures, spread evenly over the kept-back ones; the more, the narrower the intervals.
        progress: told how far it is.

    Raises:
        PlanError: not a classifier, or no pictures asked for. DataError: none can be read.
    """
    card = run.card
    if card.task != "classify":
        raise PlanError(f"expected a run with one class per picture for --judge, got task {card.task}")
    if count < 1:
        raise PlanError(f"expected at least 1 picture to judge, got {count}")
    samples = kept_back(run)
    chosen = samples.subset(np.unique(np.linspace(0, len(samples) - 1, min(count, len(samples))).astype(np.int64)))
    loader = Loader(chosen, card.preprocess, batch_size=len(chosen), cache=NO_CACHE, unreadable="drop")
    images = loader.batch(0, 0).images
    images = images[np.ptp(images.reshape(len(images), -1), axis=1) > 0]  # one colour has nothing to explain
    if not len(images):
        raise DataError("expected at least one kept-back picture to judge explanations on, found none")
    wishes = {
        name: Wish(
            options={"steps": STEPS} if "steps" in registered(name).options else {}, saved_layer=saved_layer(run.opened)
        )
        for name in METHODS
    }
    found = judge(run.opened, as_model_input(images, card.preprocess), METHODS, wishes=wishes, progress=progress)
    keep_judgement(run.path, found, f"{counted(len(images), 'picture')} kept back from training")
    return found


def keep_judgement(folder: Path, found: Judgement, pictures: str) -> None:
    """Write the judgement into a run folder, in place of an earlier one."""
    write_json(folder / JUDGED, plain({"pictures": pictures, **found.as_dict()}))


def run_behind(model: Any) -> Path | None:
    """The run folder that a judged model came from; None for a bundle, a file or a model in memory."""
    if isinstance(model, RunFolder):
        return model.path
    if not isinstance(model, str | Path) or Path(model).is_file() or (Path(model) / MANIFEST).is_file():
        return None
    return find_run(model)


def judged_sections(folder: Path) -> list[Section]:
    """The judge's chapter where a judgement was kept, else nothing."""
    path = folder / JUDGED
    if not path.is_file():
        return []
    values = json.loads(path.read_text(encoding="utf-8"))
    return [judgement_section(judgement_from(values), note=values["pictures"])]
