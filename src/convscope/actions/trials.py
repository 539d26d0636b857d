"""The trials of a study: ask for a plan, train it in its own run folder, tell how well it did; also after a kill."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convscope.actions.dataset import Parts
from convscope.actions.run import Run
from convscope.actions.train import train_parts
from convscope.errors import ConvscopeError, PlanError, RunError, RunLockedError, StorageError
from convscope.files.atomic import sweep_temporary, write_json
from convscope.files.journal import JOURNAL, JournalFile, plain
from convscope.files.lock import FolderLock, is_held
from convscope.records.progress import Progress, silent, within
from convscope.records.samples import Split
from convscope.records.study import TrialRow
from convscope.training.plan import Plan
from convscope.tuning.settings import TRIALS, Settings
from convscope.tuning.space import Space
from convscope.tuning.study import PARAMETERS, REASON, SECONDS, load_optuna, trial_rows

FACTS = "study.json"
HOPELESS = 3  # when so many trials have ended and all have failed, more won't help
_HOST = "host"
_TURN_S, _LONGEST_S, _LOOK_S = 0.1, 60.0, 1.0


@dataclass(frozen=True, eq=False)
class Work:
    """What all trials share.

    Attributes:
        folder: of the study; settings, space, plan: what is varied around what; parts: the data, divided once.
        study: Optuna's.
    """

    folder: Path
    settings: Settings
    space: Space
    plan: Plan
    parts: Parts
    study: Any

    def for_trials(self) -> Parts:
        """The data without its test part: no trial may see it, not even for a score."""
        split = self.parts.split
        none = np.zeros(0, np.int64)
        return Parts(self.parts.samples, Split(split.train, split.val, none, split.rule), self.parts.sha256)


class _Outcome:
    """How a trial ended: what it raised is kept here as its reason; a full disk or a stop ends the study as well."""

    def __init__(self) -> None:
        self.state, self.reason = "COMPLETE", ""

    def __enter__(self) -> _Outcome:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        from convscope.tuning.reporting_epochs import TrialGivenUp

        if error is None or not isinstance(error, Exception) or isinstance(error, StorageError | RunLockedError):
            return False
        self.state = "PRUNED" if isinstance(error, TrialGivenUp) else "FAIL"
        known = isinstance(error, ConvscopeError | TrialGivenUp)
        words = " ".join(str(error).split())
        self.reason = words if known else f"{type(error).__name__}: {words}"[:500]
        return True


def run_trials(work: Work, *, progress: Progress = silent, goes_on: Callable[[], bool] = lambda: True) -> None:
    """Run trials until the study has as many as it should, or until one has ended and `goes_on` says no.

    Raises:
        PlanError: the first trials all failed. TrainingStopped: asked to stop; the present trial can be gone on with.
    """
    while goes_on():
        if (taken := _next_trial(work)) is None:
            if not _others_run(work):
                return
            time.sleep(_LOOK_S)  # one of theirs may be lost yet
            continue
        trial, lock = taken
        try:
            _run_trial(work, trial, progress)
        finally:
            lock.__exit__()
        rows = trial_rows(work.study)
        write_facts(work.folder, rows)
        ended = [r for r in rows if r.state != "running"]
        progress("trials", len(ended), work.settings.trials)
        if len(ended) >= HOPELESS and all(r.state == "failed" for r in ended):
            raise PlanError(
                f"{work.folder}: all of the first {len(ended)} trials failed, the last one: {ended[-1].reason}; "
                "mend the plan or the space and begin a new study"
            )


def trial_folder(folder: Path, number: int) -> Path:
    """Where trial `number` keeps its run."""
    return folder / TRIALS / f"{number:04d}"


def write_facts(folder: Path, rows: tuple[TrialRow, ...]) -> None:
    """study.json: every trial with what it chose, reached and cost."""
    write_json(folder / FACTS, plain({"trials": [vars(row) for row in rows]}))


@contextmanager
def _turn(work: Work) -> Iterator[None]:
    """One process at a time counts and asks."""
    until = time.monotonic() + _LONGEST_S
    lock = FolderLock(work.folder / TRIALS)
    while True:
        try:
            lock.__enter__()
            break
        except RunLockedError:
            if time.monotonic() > until:
                raise
            time.sleep(_TURN_S)
    try:
        yield
    finally:
        lock.__exit__()


def _next_trial(work: Work) -> tuple[Any, FolderLock] | None:
    """A trial that a killed process of this machine left, else a new one; with its folder locked. None at the end."""
    optuna = load_optuna()
    with _turn(work):
        trials = work.study.get_trials(deepcopy=False)
        for left in trials:
            if left.state.name == "RUNNING" and left.user_attrs.get(_HOST) == socket.gethostname():
                lock = FolderLock(trial_folder(work.folder, left.number))
                try:
                    lock.__enter__()
                except RunLockedError:
                    continue
                if work.study.get_trials(deepcopy=False)[left.number].state.name == "RUNNING":
                    return optuna.trial.Trial(work.study, left._trial_id), lock
                lock.__exit__()  # its process had it until now, and has just ended it
        waiting = sum(t.state.name == "WAITING" for t in trials)
        if len(trials) - waiting >= work.settings.trials or (work.settings.method == "grid" and not waiting):
            return None
        trial = work.study.ask()
        trial.set_user_attr(_HOST, socket.gethostname())
        lock = FolderLock(trial_folder(work.folder, trial.number))
        lock.__enter__()
        return trial, lock


def _others_run(work: Work) -> bool:
    """Whether another process is at a trial just now."""
    running = [t.number for t in work.study.get_trials(deepcopy=False) if t.state.name == "RUNNING"]
    return any(is_held(trial_folder(work.folder, number)) for number in running)


def _run_trial(work: Work, trial: Any, progress: Progress) -> None:
    """One trial from choice to verdict."""
    states = load_optuna().trial.TrialState
    began_s, value = time.monotonic(), None
    with _Outcome() as outcome:
        plan = work.space.changed(work.plan, work.space.suggest(trial))
        values = [_run_once(work, trial, plan, number, progress) for number in range(work.settings.seeds)]
        value = float(np.mean(values))
    trial.set_user_attr(SECONDS, round(time.monotonic() - began_s, 3))
    if outcome.reason:
        trial.set_user_attr(REASON, outcome.reason)
        _note(trial_folder(work.folder, trial.number), outcome.reason)
    if outcome.state == "COMPLETE":
        work.study.tell(trial, value)
    else:
        work.study.tell(trial, state=states[outcome.state])


def _note(folder: Path, reason: str) -> None:
    if (folder / JOURNAL).exists():
        JournalFile(folder).write("stop", reason=reason)


def _run_once(work: Work, trial: Any, plan: Plan, number: int, progress: Progress) -> float:
    """Train one plan with one seed, or go on with it; only the first seed's epochs are told to the study."""
    from convscope.backend.selection import load_keras
    from convscope.tuning.reporting_epochs import ReportEpochs

    settings = work.settings
    folder = trial_folder(work.folder, trial.number)
    folder = folder if settings.seeds == 1 else folder / f"seed-{number}"
    seeded = plan.with_changes({"seed": plan.seed + number, "keep_checkpoints": 1})
    told = [ReportEpochs(trial, folder, settings.metric, is_rising=settings.is_rising)] if number == 0 else []
    load_keras().utils.clear_session()
    words = f"trial {trial.number}" + (f" seed {number}" if settings.seeds > 1 else "")
    with within(words, progress) as listen:
        run = train_or_go_on(folder, work.for_trials(), seeded, name=settings.name, callbacks=told, progress=listen)
    if number == 0:
        trial.set_user_attr(PARAMETERS, run.events[0].get("parameters"))
    return reached(run, settings)


def train_or_go_on(
    folder: Path, parts: Parts, plan: Plan, *, name: str, callbacks: list[Any], progress: Progress = silent
) -> Run:
    """A run in `folder`: begun, gone on with where it was killed, or left as it is when it is finished."""
    run = Run(folder)
    if not run.stopped:
        return run
    if folder.is_dir():
        sweep_temporary(folder)
    path = str(parts.samples.root) if parts.samples.root is not None else None
    start: dict[str, Any] = {"data_path": path, "name": name, "notes": []}
    begun = (folder / JOURNAL).exists()
    return train_parts(run, parts, plan, start=start, resume=begun, callbacks=callbacks, progress=progress)


def reached(run: Run, settings: Settings) -> float:
    """The best value of the metric over a run's epochs.

    Raises:
        RunError: no epoch has it.
    """
    values = [v for v in run.history.column(settings.metric) if v is not None and np.isfinite(v)]
    if not values:
        raise RunError(f"{run.path}: expected {settings.metric} in the run's epochs, found none")
    return float(max(values) if settings.is_rising else min(values))
