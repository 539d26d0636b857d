"""`convscope tune`: find a good plan for a data set by trying many; the test part is scored once, for the winner."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from convscope.actions.dataset import Parts, divide, open_samples, read_split, write_split
from convscope.actions.launching import LAUNCHERS
from convscope.actions.opening import RUNS
from convscope.actions.predict import predict_samples
from convscope.actions.run import Run
from convscope.actions.trials import FACTS, Work, reached, train_or_go_on, trial_folder, write_facts
from convscope.actions.tune_workers import run_workers
from convscope.errors import PlanError, RunError, RunLockedError
from convscope.files.atomic import write_json, write_text
from convscope.files.journal import JOURNAL, plain
from convscope.files.lock import FolderLock
from convscope.metrics.score import score_predictions
from convscope.records.geometry import Preprocess
from convscope.records.progress import Progress, silent, within
from convscope.records.study import Rerun, StudyFacts
from convscope.registry import nearest
from convscope.training.plan import Plan
from convscope.training.plan_check import check_crop, check_plan
from convscope.training.plan_text import read_toml
from convscope.training.recipes import with_recipe
from convscope.tuning.settings import STUDY, TRIALS, Settings, read_study, write_study
from convscope.tuning.space import Space, read_space
from convscope.tuning.study import (
    check_method,
    enqueue_grid,
    importance,
    open_storage,
    open_study,
    trial_rows,
    without_password,
)

BEST_PLAN, REPORT, WINNER, TESTED = "best_plan.toml", "report.html", "winner", "tested.json"


@dataclass(frozen=True, eq=False)
class Study:
    """A finished search.

    Attributes:
        path: its folder: trials/, study.json, best_plan.toml, report.html.
        facts: every trial, the importance of each parameter, the best plan again with other seeds, its test scores.
        best_plan: the plan that won.
    """

    path: Path
    facts: StudyFacts
    best_plan: Plan

    @property
    def best_run(self) -> Run:
        """The run folder of the best trial, an ordinary run (its first seed)."""
        folder = trial_folder(self.path, self.facts.ranked()[0].number)
        return Run(folder if (folder / JOURNAL).exists() else folder / "seed-0")


def tune(
    data: Any,
    *,
    space: Mapping[str, Any] | Path | str,
    plan: Plan | None = None,
    method: str = "tpe",
    trials: int = 20,
    seeds: int = 1,
    metric: str = "",
    reruns: int = 3,
    out: str | Path | None = None,
    storage: str = "",
    jobs: int = 1,
    launcher: str = "local",
    name: str = "",
    progress: Progress = silent,
) -> Study:
    """Try many plans on one data set and report the best.

    Args:
        data: as for `convscope.train`; a path when `jobs` is above 1.
        space: which plan fields vary and over what: a TOML file or the same as a dict.
        plan: the base plan; what the space does not name stays as it is.
        method: grid, random, tpe, asha (random with early giving up) or hyperband (TPE with early giving up).
        trials: how many plans are tried.
        seeds: runs of each plan with different seeds; their mean counts.
        metric: what is sought on validation, as the training log names it; "" for the plan's `monitor`.
        reruns: seeds of the best plan at the end.
        out: the study's folder; it must not hold a study. Default: runs/NAME-tune-DATE-TIME.
        storage: "" for a file in the folder, or a database's address (sqlite:///FILE, postgresql://...).
        jobs: processes, one trial each at a time; with GPUs each has its own.
        launcher: "local" for this machine, "ray" for a Ray cluster (the study's folder on a disk that all share).
        name: of the data.
        progress: told about every trial.

    Raises:
        PlanError: a space or plan that can't work, before anything is trained. StorageError: an unreachable store.
        MissingExtraError: Optuna is absent. RunError: a study is there already.
    """
    check_method(method)
    chosen = plan or Plan()
    chosen = chosen.with_changes({"monitor": metric}) if metric else chosen
    if chosen.folds:
        raise PlanError("expected folds = 0 in the plan of a study, got folds; each trial is one run")
    _check_jobs(jobs, data, launcher)
    read = read_space(space, chosen)
    if method == "grid":
        read.grid()
    label = name or (Path(data).resolve().stem if isinstance(data, str | Path) else "arrays")
    folder = Path(out) if out is not None else RUNS / f"{label}-tune-{datetime.now():%Y%m%d-%H%M%S}"
    if (folder / STUDY).exists() or (folder / JOURNAL).exists():
        raise RunError(f"{folder}: something is already there; go on with --resume {folder}, or choose another --out")
    path = str(Path(data).resolve()) if isinstance(data, str | Path) else ""
    in_base = f"convscope-{label}-{datetime.now():%Y%m%d-%H%M%S}" if storage else ""
    settings = Settings(
        path, label, method, trials, seeds, chosen.monitor, reruns, without_password(storage), in_base
    )  # fmt: skip
    samples = open_samples(data, chosen)
    with FolderLock(folder):
        parts = divide(samples, chosen, name=name, progress=progress)
        chosen = with_recipe(chosen, pictures=len(parts.split.train), task=samples.task)
        _check_with_data(read, chosen, parts)
        open_storage(folder, storage)  # unreachable: said before anything is written
        write_split(folder, parts)
        write_study(folder, settings, chosen, _as_table(space))
        return _carry_out(folder, parts, storage, jobs, progress, launcher)


def resume_tune(
    study: str | Path,
    *,
    data: Any = None,
    trials: int | None = None,
    storage: str = "",
    jobs: int = 1,
    launcher: str = "local",
    progress: Progress = silent,
) -> Study:
    """Go on with a study: trials that were killed are gone on with exactly, then new ones follow.

    While another process carries the study out, here or on another machine that sees its folder, this one shares its
    trials and leaves the report to it.

    Args:
        study: its folder.
        data: the same data, where the study was begun on arrays.
        trials: a new number of trials in all.
        storage: the database's address again (it holds a password, so it was not written down).
        jobs: processes.
        launcher: where they run, "local" or "ray".
        progress: told about every trial.

    Raises:
        RunError: no study there, or other data.
    """
    folder = Path(study)
    settings, plan, _ = read_study(folder)
    if settings.storage and not storage:
        raise PlanError(f"{folder}: this study is stored in {settings.storage}; give --storage again")
    source = data if data is not None else settings.data
    if source is None or (isinstance(source, str) and not source):
        raise RunError(f"{folder}: this study was begun on arrays; give the same data again")
    _check_jobs(jobs, source, launcher)
    parts = read_split(folder, open_samples(source, plan))
    with ExitStack() as stack:
        try:
            stack.enter_context(FolderLock(folder))
        except RunLockedError as held:
            if trials not in (None, settings.trials):
                raise
            progress(f"{str(held).partition(';')[0]}; this one shares its trials, the report comes from it", 0, 0)
            return _help(folder, parts, storage, jobs, progress, launcher)
        if trials is not None:
            write_study(folder, replace(settings, trials=trials), plan, read_toml(folder / "space.toml"))
        return _carry_out(folder, parts, storage, jobs, progress, launcher)


def open_work(folder: Path, parts: Parts, storage: str, worker: int = 0) -> Work:
    """Everything that trials need, from a study's folder; `worker` numbers the processes of one study."""
    settings, plan, space = read_study(folder)
    study = open_study(
        open_storage(folder, storage),
        method=settings.method,
        is_rising=settings.is_rising,
        seed=plan.seed + 104_729 * worker,
        epochs=plan.epochs,
        name=settings.study_name,
    )
    return Work(folder, settings, space, plan, parts, study)


def _carry_out(
    folder: Path, parts: Parts, storage: str, jobs: int, progress: Progress, launcher: str = "local"
) -> Study:  # fmt: skip
    """All trials, the winner again, the report; the caller holds the folder's lock."""
    (folder / TRIALS).mkdir(parents=True, exist_ok=True)
    work = open_work(folder, parts, storage)
    if work.settings.method == "grid":
        enqueue_grid(work.study, work.space, trials=work.settings.trials, seed=work.plan.seed)
    run_workers(work, storage, jobs, progress, launcher)
    return _conclude(work, progress)


def _help(folder: Path, parts: Parts, storage: str, jobs: int, progress: Progress, launcher: str) -> Study:
    """Trials of a study that another process carries out; its report too, where that one has ended meanwhile."""
    number = os.getpid()
    work = open_work(folder, parts, storage, number)
    run_workers(work, storage, jobs, progress, launcher, first=number)
    with suppress(RunLockedError), FolderLock(folder):
        return _conclude(work, progress)
    facts = _facts(work)
    return Study(folder, facts, _plan_of(work, facts.ranked()[0].number))


def _conclude(work: Work, progress: Progress) -> Study:
    """Rank, train the best plan again, score the test part once, write it all down."""
    from convscope.reporting.render import render_report
    from convscope.reporting.tuning import tuning_report

    facts = _facts(work)
    ranked = facts.ranked()
    plan = _plan_of(work, ranked[0].number)
    study = Study(work.folder, facts, plan)
    facts = replace(facts, reruns=_again(work, study, progress), tested=_tested(work, study, progress))
    write_facts(work.folder, facts.trials)
    best = {"number": ranked[0].number, "value": ranked[0].value, "params": dict(ranked[0].params)}
    known = json.loads((work.folder / FACTS).read_text(encoding="utf-8"))
    write_json(work.folder / FACTS, plain({
        **known, "metric": facts.metric, "method": facts.method, "best": best, "importance": dict(facts.importance),
        "reruns": [vars(r) for r in facts.reruns], "tested": dict(facts.tested),
    }))  # fmt: skip
    write_text(work.folder / BEST_PLAN, plan.to_toml())
    write_text(work.folder / REPORT, render_report(tuning_report(facts, _provenance(study))))
    return Study(work.folder, facts, plan)


def _facts(work: Work) -> StudyFacts:
    """What the study's trials have come to.

    Raises:
        RunError: none is complete.
    """
    settings = work.settings
    facts = StudyFacts(
        name=work.folder.name, method=settings.method, metric=settings.metric, is_rising=settings.is_rising,
        trials=trial_rows(work.study), importance=importance(work.study), fixed=_fixed(work),
    )  # fmt: skip
    if not facts.ranked():
        reasons = [t.reason for t in facts.trials if t.reason]
        raise RunError(
            f"{work.folder}: expected at least one complete trial, got none of {len(facts.trials)}"
            + (f"; the last reason: {reasons[-1]}" if reasons else "")
        )
    return facts


def _plan_of(work: Work, number: int) -> Plan:
    from convscope.tuning.study import load_optuna

    params = work.study.get_trials(deepcopy=False)[number].params
    return work.space.changed(work.plan, work.space.suggest(load_optuna().trial.FixedTrial(params)))


def _again(work: Work, study: Study, progress: Progress) -> tuple[Rerun, ...]:
    """The best plan with further seeds, so that luck can be told from gain; the trial itself is the first."""
    settings, plan = work.settings, study.best_plan
    first = study.best_run
    found = [Rerun(plan.seed, reached(first, settings), str(first.path.relative_to(work.folder)))]
    for number in range(1, settings.reruns):
        seed = plan.seed + settings.seeds - 1 + number  # seeds that the trial has not used
        folder = work.folder / WINNER / f"trial-{study.facts.ranked()[0].number:04d}-seed-{seed}"
        seeded = plan.with_changes({"seed": seed, "keep_checkpoints": 1})
        with FolderLock(folder), within(f"best plan, seed {seed}", progress) as told:
            run = train_or_go_on(folder, work.for_trials(), seeded, name=settings.name, callbacks=[], progress=told)
        found.append(Rerun(seed, reached(run, settings), str(folder.relative_to(work.folder))))
        progress("best plan again", number, settings.reruns - 1)
    return tuple(found)


def _tested(work: Work, study: Study, progress: Progress) -> dict[str, Any]:
    """Scores of the winner's model on the test part; kept, so that the same winner is never scored twice."""
    number = study.facts.ranked()[0].number
    path = work.folder / TESTED
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if known.get("trial") == number or not len(work.parts.split.test):
        return known
    scores = score_predictions(predict_samples(study.best_run.opened, work.parts.test, progress=progress))
    times = int(known.get("times", 0)) + 1
    found = plain({"trial": number, "times": times, "pictures": len(work.parts.split.test), **scores.as_dict()})
    write_json(path, found)
    return dict(found)


def _provenance(study: Study) -> Any:
    return study.best_run.card.provenance


def _fixed(work: Work) -> tuple[tuple[str, str], ...]:
    split, settings = work.parts.split, work.settings
    return (
        ("data", work.parts.words),
        ("training", str(len(split.train))),
        ("validation", str(len(split.val))),
        ("test, unseen by all trials", str(len(split.test))),
        ("seeds of each plan", str(settings.seeds)),
        ("sought", f"{'highest' if settings.is_rising else 'lowest'} {settings.metric}"),
        ("base plan", "plan.toml"),
        ("space", "space.toml"),
    )


def _as_table(space: Mapping[str, Any] | Path | str) -> dict[str, Any]:
    return dict(space) if isinstance(space, Mapping) else read_toml(Path(space))


def _check_jobs(jobs: int, data: Any, launcher: str) -> None:
    if launcher not in LAUNCHERS:
        raise PlanError(f"unknown launcher {launcher!r}; {nearest(launcher, LAUNCHERS)}")
    if jobs < 1:
        raise PlanError(f"expected jobs of at least 1, got {jobs}")
    if (jobs > 1 or launcher != "local") and not isinstance(data, str | Path):
        raise PlanError("expected data as a path for jobs above 1, got arrays; other processes read it from there")


def _check_with_data(space: Space, plan: Plan, parts: Parts) -> None:
    """Refuse choices that this data rules out.

    Raises:
        PlanError: naming the choice.
    """
    for choice, probe in space.probes(plan):
        try:
            check_plan(probe, parts.train)
            if probe.size_hw is not None:
                check_crop(Preprocess(*probe.size_hw, fit=probe.fit), parts.smallest_side_px)
        except PlanError as error:
            raise PlanError(f"{choice.name} can't be used on this data: {error}") from error
