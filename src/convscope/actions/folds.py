"""`convscope train --folds 5`: cross-validation, each picture tested once, mean and 95 % interval over the folds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convscope.actions.dataset import (
    SPLIT,
    Parts,
    data_sha256,
    open_samples,
    scanned,
    start_facts,
    without_unreadable,
)
from convscope.actions.opening import RUNS
from convscope.actions.run import Run
from convscope.actions.train import train_parts
from convscope.data.split import fold_samples
from convscope.errors import PlanError, RunError
from convscope.files.atomic import write_json
from convscope.files.journal import JOURNAL, plain
from convscope.files.lock import new_folder
from convscope.metrics.intervals import fold_interval
from convscope.records.prediction import Scored
from convscope.records.progress import Progress, silent, within
from convscope.reporting.words import is_share
from convscope.training.plan import Plan
from convscope.training.plan_text import first_difference, toml_values
from convscope.training.recipes import with_recipe

FOLDS = "folds.json"
HARMLESS = ("keep_checkpoints", "checkpoint_minutes", "track", "workers", "cache_mb", "download")  # teach nothing


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """The folds of one plan.

    Attributes:
        path: the folder that holds them.
        runs: one finished run per fold.
        values: metric -> mean over the folds with its 95 % t interval.
        headline: which metric counts most.
    """

    path: Path
    runs: tuple[Run, ...]
    values: dict[str, Scored]
    headline: str


def cross_validate(
    data: Any,
    *,
    model: str | None = None,
    plan: Plan | None = None,
    out: str | Path | None = None,
    name: str = "",
    notes: Sequence[str] = (),
    progress: Progress = silent,
) -> CrossValidation:
    """Train once per fold; identical pictures and groups stay in one fold; a finished fold is not trained again.

    Args:
        data: as for `convscope.train`.
        model: a catalogue name; None for the plan's.
        plan: as for `convscope.train`; its `folds` says how many (2 or more).
        out: the folder for the folds; default runs/NAME-folds.
        name: of the data.
        notes: words for the reports.
        progress: told about every long step.

    Raises:
        PlanError: fewer than two folds.
        RunError: `out` has folds of another plan or of other data. Everything that `convscope.train` raises.
    """
    chosen = (plan or Plan()).with_changes({"model": model} if model else {})
    if chosen.folds < 2:
        raise PlanError(f"expected at least 2 folds, got {chosen.folds}; set folds = 5 in the plan")
    samples = open_samples(data, chosen)
    facts = start_facts(data, samples, name, notes)
    label = facts["name"].replace(" ", "-")
    folder = Path(out) if out is not None else RUNS / f"{label}-folds"
    if (folder / JOURNAL).exists():
        raise RunError(f"{folder}: a single run is already there; choose another --out")
    audit, same = scanned(samples, chosen, progress=progress)
    splits = fold_samples(samples, chosen.folds, seed=chosen.seed, val_share=chosen.val_share, same=same)
    chosen = with_recipe(chosen, pictures=len(splits[0].train), task=samples.task)
    digest = data_sha256(samples)
    runs = tuple(Run(folder / f"fold-{number}") for number in range(1, len(splits) + 1))
    with new_folder(folder, begun=f"*/{JOURNAL}", learned="*/checkpoints/*"):
        for run in runs:
            _check_same(run, chosen, digest)
        for number, (run, split) in enumerate(zip(runs, splits, strict=True), start=1):
            if run.stopped:
                start = facts | {"name": f"{facts['name']}, fold {number}"}
                begun = any((run.path / "checkpoints").glob("epoch-*"))
                kept, split = without_unreadable(samples, split, audit, strict=chosen.strict)
                parts = Parts(kept, split, digest, audit)
                with within(f"fold {number}", progress) as told:
                    train_parts(run, parts, chosen, start=start, resume=begun, progress=told)
            progress("folds", number, len(splits))
        return _over_folds(folder, runs)


def _check_same(run: Run, plan: Plan, digest: str) -> None:
    """Refuse to mix folds of two plans or of two data sets.

    Raises:
        RunError: a fold of another plan or of other data is already there.
    """
    if not (run.path / JOURNAL).exists():
        return
    advice = "choose another --out, or remove the folder to begin anew"
    if json.loads((run.path / SPLIT).read_text(encoding="utf-8"))["data_sha256"] != digest:
        raise RunError(f"{run.path}: expected a fold of this data, found one of other data; {advice}")
    other = first_difference(toml_values(run.plan), toml_values(plan), but=HARMLESS)
    if other is not None:
        name, old, new = other
        raise RunError(f"{run.path}: expected a fold of this plan ({name} = {new!r}), found {name} = {old!r}; {advice}")


def _over_folds(folder: Path, runs: tuple[Run, ...]) -> CrossValidation:
    scores = [run.scores for run in runs]
    names = [n for n in scores[0].values if all(n in s.values for s in scores)]
    values = {n: fold_interval([s.values[n].value for s in scores], limits=_limits(n)) for n in names}
    values = {n: v for n, v in values.items() if np.isfinite(v.value)}
    facts = {"folds": len(runs), "headline": scores[0].headline, "values": {n: vars(v) for n, v in values.items()}}
    write_json(folder / FOLDS, plain(facts))
    return CrossValidation(folder, runs, values, scores[0].headline)


def _limits(name: str) -> tuple[float, float]:
    """What a score can be: an interval does not reach further."""
    if name == "r2":
        return -np.inf, 1.0
    return 0.0, 1.0 if is_share(name) else np.inf
