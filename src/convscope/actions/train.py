"""`convscope train`: from pictures to a run folder with a trained, calibrated, scored and saved network."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from convscope.actions.dataset import Parts, divide, open_samples, start_facts, write_split
from convscope.actions.finish import finish, judge
from convscope.actions.opening import RUNS, open_any
from convscope.actions.provenance import begin_facts
from convscope.actions.run import Run
from convscope.actions.run_folder import PLAN, SWEPT
from convscope.actions.scan_report import write_audit
from convscope.actions.steps import steps_for
from convscope.data.blocks import blocks_of
from convscope.errors import ModelError, PlanError, RunError
from convscope.files.atomic import sweep_temporary, write_text
from convscope.files.journal import JOURNAL, JournalFile
from convscope.files.lock import new_folder
from convscope.records.progress import Progress, silent
from convscope.records.samples import Samples
from convscope.records.team import ALONE, Team
from convscope.training.plan import Plan
from convscope.training.recipes import with_recipe


def train(
    data: Any,
    *,
    model: Any = None,
    plan: Plan | None = None,
    out: str | Path | None = None,
    name: str = "",
    notes: Sequence[str] = (),
    continue_from: str | Path | None = None,
    callbacks: Sequence[Any] = (),
    progress: Progress = silent,
    team: Team = ALONE,
) -> Run:
    """Train a network on pictures.

    Args:
        data: a folder of class folders (or train/ val/ test/), a table, (x, y) arrays, a tf.data.Dataset, a
            keras.utils.PyDataset, a grain or torch data set, or Samples.
        model: a catalogue name, or one's own keras.Model: trained as it is; when it is compiled, its optimizer, loss
            and metrics are kept and the labels are encoded for that loss.
        plan: every other choice; `Plan()` when left out.
        out: the run folder; it must not hold a run. Default: runs/DATA-DATE-TIME.
        name: name of the data for the default folder and the report.
        notes: words that must stand in the report (licence, the rule of the labels).
        continue_from: begin with the weights of this run or bundle (new data, same classes).
        callbacks: further Keras callbacks.
        progress: told about every long step.
        team: this process' place among those that train together, each of which calls this; see `train_together`.

    Returns:
        The finished run; from all but the first process of a team a folder of its own with a journal alone.

    Raises:
        DataError, PlanError, ModelError, WeightsNotFoundError: what can't work, before anything is trained.
        TrainingStopped: Ctrl-C or a termination request; a checkpoint was written.
    """
    plan, own = _choices(plan, model)
    if plan.folds:
        raise PlanError("expected folds = 0 for one run; for cross-validation call convscope.cross_validate")
    samples = open_samples(data, plan, own)
    start = start_facts(data, samples, name, notes)
    if not team.is_first:
        return _beside(samples, plan, start, team, continue_from=continue_from, progress=progress)
    if team.total > 1 and own is not None:
        raise PlanError("expected a network by name for several devices, got a keras.Model; it lies on one of them")
    folder = _new_folder(out, start["name"].replace(" ", "-"))
    with new_folder(folder, begun=JOURNAL, learned="checkpoints/*"):
        sweep_temporary(folder, *SWEPT)
        parts = divide(samples, plan, name=name, progress=progress)
        plan = with_recipe(plan, pictures=len(parts.split.train), task=samples.task, is_own=own is not None)
        return train_parts(
            Run(folder), parts, plan, own=own, start=start, continue_from=continue_from, callbacks=callbacks,
            progress=progress, team=team,
        )  # fmt: skip


def _beside(
    samples: Samples, plan: Plan, start: dict[str, Any], team: Team, *, continue_from: Any, progress: Progress
) -> Run:
    """Train as one of a team that is not its first: its journal is thrown away."""
    with TemporaryDirectory(prefix="convscope-") as own_folder:
        parts = divide(samples, plan)
        plan = with_recipe(plan, pictures=len(parts.split.train), task=samples.task)
        return train_parts(
            Run(Path(own_folder)), parts, plan, start=start, continue_from=continue_from, progress=progress, team=team
        )


def train_parts(
    run: Run,
    parts: Parts,
    plan: Plan,
    *,
    own: Any = None,
    start: dict[str, Any],
    continue_from: str | Path | None = None,
    resume: bool = False,
    saved_in: Path | None = None,
    callbacks: Sequence[Any] = (),
    progress: Progress = silent,
    team: Team = ALONE,
) -> Run:
    """Train on data that is already divided; the caller holds the folder's lock.

    Args:
        run: its folder is written.
        parts: the data.
        plan: every choice.
        own: the user's own model instead of a network by name.
        start: facts for the journal's first line.
        continue_from: a run or bundle whose weights come first.
        resume: go on from the newest checkpoint.
        saved_in: the folder that has it, where it is not the run's.
        callbacks: further Keras callbacks.
        progress: told about every long step.
        team: the processes that train together.
    """
    from convscope.backend.distribution import spread
    from convscope.bundle.saving import architecture_of
    from convscope.training.plan_check import check_crop, check_plan

    check_plan(plan, parts.train)
    with spread(team):
        prepared = steps_for(parts.samples.task).prepare(plan, parts.samples, own)
        check_crop(prepared.preprocess, parts.smallest_side_px)
        if own is not None:
            architecture_of(own)  # a model that can't be saved is refused before hours of training, not after
        if continue_from is not None:
            _take_weights(prepared.model, continue_from)
        if not resume:
            _begin(run, parts, prepared, plan, start=start, team=team, progress=progress)
        _fit(
            run, parts, prepared, plan, resume=resume, saved_in=saved_in, callbacks=callbacks, progress=progress,
            team=team,
        )  # fmt: skip
    if not team.is_alone:
        prepared = _taken_back(prepared, parts, plan, team)
    if team.is_first:
        finish(run, parts, prepared, plan, progress=progress)
    return run


def _begin(
    run: Run, parts: Parts, prepared: Any, plan: Plan, *, start: dict[str, Any], team: Team, progress: Progress
) -> None:
    """What a new run writes before it trains."""
    journal = JournalFile(run.path)
    write_text(run.path / PLAN, plan.to_toml())
    write_split(run.path, parts)
    if parts.audit is not None and team.is_first:
        write_audit(run.path, parts.samples, parts.audit, progress=progress)
    journal.write("start", **start, **begin_facts(parts, prepared, plan))
    for note in (*prepared.notes, *team_words(team)):
        journal.write("note", text=note)


def team_words(team: Team) -> tuple[str, ...]:
    """What the journal says of who trains together; nothing of a lone process."""
    if team.is_alone:
        return ()
    processes = "1 process" if team.processes == 1 else f"{team.processes} processes"
    devices = "1 device" if team.devices == 1 else f"{team.devices} devices"
    words = f"data parallel: {processes} with {devices} each share every batch"
    return words, "neither pictures nor layers are watched where several devices train"


def _fit(
    run: Run,
    parts: Parts,
    prepared: Any,
    plan: Plan,
    *,
    resume: bool,
    saved_in: Path | None,
    callbacks: Sequence[Any],
    progress: Progress,
    team: Team,
) -> None:
    """Train, watched and tracked as planned."""
    from convscope.actions.learned import watch_layers
    from convscope.actions.tracked import tracked
    from convscope.actions.watching import watch, watch_filters
    from convscope.training.fit import fit
    from convscope.training.job import TrainingJob
    from convscope.training.stopping import DivergedError

    train_part, val_part = _as_seen(parts, prepared, plan)
    job = TrainingJob(train_part, val_part, prepared.preprocess, plan, parts.sha256, team)
    shown = parts.val if len(parts.val) else parts.train
    watched: list[Any] = []
    if team.is_alone:  # one process can't run a model that lies on all devices
        watched = [
            *watch(run.path, shown, prepared, plan),
            *watch_filters(run.path, prepared, plan),
            *watch_layers(run.path, job, prepared),
        ]
    try:
        with tracked(run.path, shown, prepared, plan, resume=resume, team=team) as trackers:
            called = (*watched, *trackers, *callbacks)
            fit(
                prepared.trained, job, folder=run.path, resume=resume, saved_in=saved_in, callbacks=called,
                progress=progress,
            )  # fmt: skip
    except DivergedError:
        judge(run, parts, plan, diverged=True)
        raise


def _as_seen(parts: Parts, prepared: Any, plan: Plan) -> tuple[Samples, Samples]:
    """What is trained and validated on: pictures, or the blocks of slices that some segmenters see."""
    from convscope.actions.mask_blocks import block_depth
    from convscope.training.plan_check import check_plan

    depth = block_depth(prepared.model) if parts.samples.task == "segment" else 0
    if not depth:
        return parts.train, parts.val
    train_part, val_part = blocks_of(parts.train, depth), blocks_of(parts.val, depth)
    check_plan(plan, train_part)
    return train_part, val_part


def _taken_back(prepared: Any, parts: Parts, plan: Plan, team: Team) -> Any:
    """The same network with the same weights on this process alone; the team ends."""
    from convscope.backend.distribution import leave
    from convscope.training.weights import read_variables, write_variables

    values = read_variables(prepared.model.variables)
    leave(team)
    if not team.is_first:
        return prepared
    fresh = steps_for(parts.samples.task).prepare(plan, parts.samples, None)
    write_variables(fresh.model.variables, values, "weights")
    return fresh


def _choices(plan: Plan | None, model: Any) -> tuple[Plan, Any]:
    chosen = plan or Plan()
    if model is None:
        return chosen, None
    if isinstance(model, str):
        return chosen.with_changes({"model": model}), None
    return chosen, model


def _new_folder(out: str | Path | None, name: str) -> Path:
    if out is None:
        return RUNS / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    folder = Path(out)
    if (folder / JOURNAL).exists():
        raise RunError(f"{folder}: a run is already there; go on with it by --resume {folder}, or choose another --out")
    return folder


def _take_weights(model: Any, source: str | Path) -> None:
    """Give `model` the weights of an earlier run of the same network."""
    old = open_any(source).model.get_weights()
    new = model.get_weights()
    if [w.shape for w in old] != [w.shape for w in new]:
        raise ModelError(
            f"{source}: expected the same network with as many classes, its weights have other shapes; "
            "train anew, or give the same model and classes"
        )
    model.set_weights(old)
