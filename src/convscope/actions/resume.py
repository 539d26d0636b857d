"""`convscope train --resume RUN`: go on from the newest whole checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from convscope.actions.dataset import open_samples, read_split
from convscope.actions.opening import BUNDLE
from convscope.actions.run import Run, open_run
from convscope.actions.run_folder import PLAN, SWEPT
from convscope.actions.train import team_words, train_parts
from convscope.errors import PlanError, RunError
from convscope.files.atomic import sweep_temporary, write_text
from convscope.files.journal import JournalFile
from convscope.files.lock import FolderLock
from convscope.records.progress import Progress, silent
from convscope.records.team import ALONE, Team
from convscope.training.plan import Plan
from convscope.training.resume import MAY_CHANGE


def resume_run(
    run: str | Path,
    *,
    data: Any = None,
    model: Any = None,
    changes: Mapping[str, Any] | None = None,
    callbacks: Sequence[Any] = (),
    progress: Progress = silent,
    team: Team = ALONE,
) -> Run:
    """Go on with a run, exactly where it stopped; a finished run goes on when it gets more epochs.

    Args:
        run: a run folder, a name below runs/, or "last".
        data: the same data; may be left out when the run was started on files.
        model: the user's own model when the run was started with one.
        changes: plan fields to change: more epochs, patience, workers and the like; nothing that is learned from.
        callbacks: further Keras callbacks.
        progress: told about every long step.
        team: this process' place among those that train together; their number may be another one than before.

    Raises:
        RunError: other data, no whole checkpoint, or nothing left to do.
        PlanError: a change that would make another run of it.
    """
    found = open_run(run)
    old = found.plan
    plan = _changed(old, changes or {})
    start = found.events[0]
    finished = (found.path / BUNDLE).is_dir()
    if finished and plan.epochs <= old.epochs and plan.head_epochs <= old.head_epochs:
        raise RunError(f"{found.path}: this run is finished; give it more epochs, e.g. --epochs {old.epochs * 2}")
    source = data if data is not None else start.get("data_path")
    if source is None:
        raise RunError(f"{found.path}: this run was trained on arrays; give the same data again")
    samples = open_samples(source, plan, model)
    if not team.is_first:
        with TemporaryDirectory(prefix="convscope-") as own_folder:
            return train_parts(
                Run(Path(own_folder)), read_split(found.path, samples), plan, start={}, resume=True,
                saved_in=found.path, progress=progress, team=team,
            )  # fmt: skip
    with FolderLock(found.path) as lock:
        sweep_temporary(found.path, *SWEPT)
        if lock.taken_over:
            JournalFile(found.path).write("note", text=f"took the run over from {lock.taken_over}")
        parts = read_split(found.path, samples)
        write_text(found.path / PLAN, plan.to_toml())
        fresh = Run(found.path)  # `found` remembers the plan and the model from before
        for words in team_words(team):
            JournalFile(found.path).write("note", text=words)
        return train_parts(
            fresh, parts, plan, own=model, start={}, resume=True, callbacks=callbacks, progress=progress, team=team
        )


def _changed(plan: Plan, changes: Mapping[str, Any]) -> Plan:
    refused = [name for name, value in changes.items() if name not in MAY_CHANGE and value != getattr(plan, name)]
    if refused:
        raise PlanError(
            f"expected only {', '.join(MAY_CHANGE)} to change on a resume, got {', '.join(refused)}; "
            "for another plan start a new run, with --continue-from for its weights"
        )
    return plan.with_changes(changes) if changes else plan
