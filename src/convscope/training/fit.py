"""fit: train a network or a model by a plan, phase after phase, through Keras' own `fit`, resumable at any batch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convscope.backend.devices import is_tensorflow_on_cpu
from convscope.backend.randomness import seed_everything
from convscope.errors import DataError
from convscope.files.journal import JournalFile
from convscope.models.network import Network, feature_extractor
from convscope.records.progress import Progress, silent
from convscope.records.run import History
from convscope.training.agreeing import Agreement, restored_by_all
from convscope.training.batch_pictures import batch_words
from convscope.training.callbacks import Journal
from convscope.training.checkpoint import Checkpoint, Saved, checkpoints
from convscope.training.compiling import computing_in
from convscope.training.faster_layers import faster_layers
from convscope.training.faster_updates import faster_updates
from convscope.training.feed import BatchSource, Feed
from convscope.training.job import TrainingJob, compute_features
from convscope.training.kinds import Kind, kind_for
from convscope.training.lr_finder import find_rate
from convscope.training.memory import MemoryAdvice, OutOfMemoryError
from convscope.training.norms import norms_over_all
from convscope.training.phases import Phase, plan_phases, set_trainable
from convscope.training.plan_check import check_plan
from convscope.training.resume import RestoreOnce, fingerprints, restore
from convscope.training.signals import StopRequest, TrainingStopped
from convscope.training.state import RunState
from convscope.training.stopping import Averaged, BestEpoch, DivergedError, FiniteLoss, Plateau
from convscope.training.turning import Bar, Count, FreedBlocks, Turn
from convscope.training.weights import own_copies, read_variables, write_variables


@dataclass(frozen=True, eq=False)
class _Run:
    """What all phases of one run share."""

    network: Any
    whole: Any
    kind: Kind
    job: TrainingJob
    folder: Path
    state: RunState
    file: JournalFile
    stop: StopRequest
    agreement: Agreement
    callbacks: Sequence[Any]
    progress: Progress


def fit(
    network: Network | Any,
    job: TrainingJob,
    *,
    folder: Path | str,
    resume: bool = False,
    saved_in: Path | None = None,
    callbacks: Sequence[Any] = (),
    progress: Progress = silent,
) -> History:
    """Train in place; with `job.team` together with other processes, each of which calls this.

    Args:
        network: a Network of the catalogue, or any built Keras model with one output. A compiled model keeps its
            optimizer, loss and metrics; labels are encoded for its loss.
        job: data and plan.
        folder: run folder; journal and checkpoints go there.
        resume: go on from the newest whole checkpoint of `folder`.
        saved_in: where its checkpoints are, for a process that only keeps a journal of its own in `folder`.
        callbacks: further Keras callbacks, called in every phase.
        progress: told after every step.

    Returns:
        One row per epoch over all phases; the model then holds the best epoch's weights (see `Plan.keep_best`).

    Raises:
        TrainingStopped: Ctrl-C or SIGTERM; a checkpoint was written. DivergedError: the loss became NaN.
        RunError: a resume with another data set, plan or network. ModelError, DataError, PlanError: what can't work.
    """
    folder, plan = Path(folder), job.plan
    if job.train.truth is None:
        raise DataError("expected pictures with truth to train on, got none; add labels")
    check_plan(plan, job.train)
    job.team.check(plan.batch_size)
    kind = kind_for(network, job)
    whole = kind.whole
    seed_everything(plan.seed, plan.deterministic)
    file = JournalFile(folder)
    saved = restored_by_all(job.team, saved_in or folder, job, whole, file) if resume else None
    state = saved.state if saved else RunState()
    with ExitStack() as stack:
        stop = stack.enter_context(StopRequest())
        stack.enter_context(computing_in(whole, plan.mixed_precision))
        stack.enter_context(norms_over_all(whole, job.team))
        if (faster := stack.enter_context(faster_layers(whole))) and not resume:
            file.write("note", text=faster)
        agreement = Agreement(job.team, stop)
        run = _Run(network, whole, kind, job, folder, state, file, stop, agreement, callbacks, progress)
        phases = plan_phases(network, plan, has_features=kind.has_features)
        first = state.phase
        try:
            for number in range(first, len(phases)):
                if number > first:
                    _carry_best(run, phases[number])
                _run_phase(run, phases[number], saved if number == first else None)
        except TrainingStopped as stopped:
            stopped.name_run(folder, bool(checkpoints(folder)))
            raise
    return state.history()


def _carry_best(run: _Run, phase: Phase) -> None:
    """Before the next phase: the best weights so far are now those of the whole model, which holds them."""
    run.state.next_phase()
    if run.state.best_weights is not None and run.kind.fitted(phase) is run.whole:
        run.state.best_weights = read_variables(run.whole.variables)


@dataclass(frozen=True, eq=False)
class _Pass:
    """One phase ready to be fitted."""

    phase: Phase
    model: Any
    feed: Feed
    val_feed: Feed | None
    checkpoint: Checkpoint
    once: RestoreOnce | None
    first_epoch: int
    steps: int


def _run_phase(run: _Run, phase: Phase, saved: Saved | None) -> None:
    """One phase from where the state stands; it ends with the best weights in the model."""
    state = run.state
    set_trainable(run.network, phase, run.job.plan)
    if saved is not None:
        write_variables(run.whole.variables, saved.weights, "weights")
    model = run.kind.fitted(phase)
    is_over = state.ended == "patience" or state.phase_epochs >= phase.epochs
    averages = bool(run.job.plan.ema) and phase.what != "own"
    has_best = run.job.plan.keep_best and state.best_weights is not None
    # what is averaged of a phase that was over when the run was killed lies in its optimizer
    if not is_over or (saved is not None and averages and not has_best):
        ready = _prepare(run, phase, model, saved)
        try:
            if not is_over:
                _train(run, ready)
            if averages:
                model.optimizer.finalize_variable_values(model.trainable_variables)
                own_copies(model.trainable_variables)
        except TrainingStopped as stopped:
            run.file.write("stop", reason="asked to stop", exit_code=stopped.exit_code)
            raise
        except (DivergedError, OutOfMemoryError) as error:
            run.file.write("stop", reason=str(error))
            raise
        finally:
            ready.feed.close()
            if ready.val_feed is not None:
                ready.val_feed.close()
    if run.job.plan.keep_best and state.best_weights is not None:
        write_variables(model.variables, state.best_weights, "best weights")


def _train(run: _Run, ready: _Pass) -> None:
    """Fit the phase to its end, and write that down."""
    with _advice(run, ready), faster_updates(ready.model) as is_faster:
        if is_faster and ready.once is None and not ready.first_epoch:
            run.file.write("note", text="TensorFlow on a CPU: Adam in one pass, same numbers but for rounding")
        _fit_epochs(run, ready)
    run.state.ended = run.state.ended or "patience"  # a callback of the user's stopped it
    ready.checkpoint.write()


def _advice(run: _Run, ready: _Pass) -> AbstractContextManager[None]:
    """Which batch fits when memory runs out; not tried by one process of several, which would wait for the others."""
    if run.job.team.processes > 1:
        return nullcontext()
    return MemoryAdvice(ready.model, run.job.plan.batch_size, lambda: ready.feed[0])


def _prepare(run: _Run, phase: Phase, model: Any, saved: Saved | None) -> _Pass:
    """Data, compiled model and checkpoint of one phase."""
    state, plan = run.state, run.job.plan
    train, val = _sources(run, phase)
    encode = run.kind.encoder(phase)
    rate = _rate(run, phase, model, Feed(train, encode))
    run.kind.compile(model, phase, plan=plan, steps=len(train), rate=rate)
    if phase.what == "own" and plan.schedule != "constant":
        run.file.write("note", text="the model came compiled: its own learning rate is kept, not the plan's schedule")
    run.file.write("phase", phase=phase.name, trains=phase.what, epochs=phase.epochs, steps=len(train))
    checkpoint = Checkpoint(
        run.folder, plan=plan, state=state, whole=run.whole, prints=fingerprints(run.job, run.whole), stop=run.stop,
        asked=run.agreement.tick, writes=run.job.team.is_first,
    )  # fmt: skip
    checkpoint.report_to(run.file)
    checkpoint.set_model(model)
    feed = Feed(train, encode, epoch=len(state.rows), start=state.batch)
    val_feed = None if val is None else Feed(val, run.kind.plain_encoder(), is_fixed=True)
    once = None if saved is None else restore(saved, model, feed)
    first_epoch = len(state.rows) - state.phase_epochs
    return _Pass(phase, model, feed, val_feed, checkpoint, once, first_epoch, len(train))


def _rate(run: _Run, phase: Phase, model: Any, feed: Feed) -> float:
    """The phase's learning rate: the plan's, or a searched one, which the state remembers for a resume."""
    plan, rates = run.job.plan, run.state.rates
    if not plan.find_learning_rate or phase.what == "own":
        return phase.rate
    if phase.name not in rates:
        plain = plan.with_changes({"schedule": "constant", "warmup_epochs": 0.0})
        run.kind.compile(model, phase, plan=plain, steps=feed.num_batches, rate=phase.rate)
        try:
            curve = find_rate(model, feed)
        finally:
            feed.close()
        rates[phase.name] = curve.suggestion or phase.rate
        run.file.write("rates", phase=phase.name, suggestion=curve.suggestion, rates=curve.rates, losses=curve.losses)
        run.file.write("note", text=f"learning rate {rates[phase.name]:.3g} for {phase.name}, searched (Smith 2017)")
    return rates[phase.name]


def _callbacks(run: _Run, ready: _Pass) -> list[Any]:
    """In the order in which they must be called: first what may stop, last what writes."""
    state, plan, phase = run.state, run.job.plan, ready.phase
    is_own = phase.what == "own"
    journal = Journal(run.folder, phase=phase.name, first_epoch=ready.first_epoch, file=run.file)
    written = ready.checkpoint
    rate = state.rates.get(phase.name, phase.rate)
    return [
        FiniteLoss(
            lambda: f"kept: {written.written.name if written.written else 'no checkpoint yet'}",
            lambda: batch_words(run.job, len(state.rows), state.batch),
        ),
        *([ready.once] if ready.once else []),
        Turn(ready.feed, ready.first_epoch),
        BestEpoch(plan, state, ready.first_epoch),
        *([Plateau(plan, state, rate)] if plan.schedule == "plateau" and not is_own else []),
        journal,
        Count(state, journal, phase.epochs),
        *([FreedBlocks()] if is_tensorflow_on_cpu() else []),
        *run.callbacks,
        *([Averaged()] if plan.ema and not is_own else []),
        Bar(run.progress, phase.name, phase.epochs, ready.steps),
        ready.checkpoint,
    ]


def _fit_epochs(run: _Run, ready: _Pass) -> None:
    """Call Keras' fit; after a resume inside an epoch once for its rest, then for the other epochs."""
    state, model = run.state, ready.model
    called = _callbacks(run, ready)
    ends = [state.phase_epochs + 1, ready.phase.epochs] if state.batch else [ready.phase.epochs]
    for end in ends:
        if state.phase_epochs < end:
            ready.feed.begin_epoch(len(state.rows))  # before Keras asks how many batches there are
            model.fit(
                ready.feed,
                epochs=end,
                initial_epoch=state.phase_epochs,
                validation_data=ready.val_feed,
                callbacks=called,
                verbose=0,
                shuffle=False,  # the order comes from the loader; Keras' own could not be resumed
            )
            for averaged in (c for c in called if isinstance(c, Averaged)):
                averaged.take_back()
        if model.stop_training:
            return


def _calm_from(run: _Run, phase: Phase) -> int | None:
    """The epoch of the run from which on boxes are learned from whole pictures again: near the last phase's end."""
    plan = run.job.plan
    last = plan_phases(run.network, plan, has_features=run.kind.has_features)[-1]
    if run.job.train.task != "detect" or phase.name != last.name:
        return None
    first_epoch = len(run.state.rows) - run.state.phase_epochs
    return first_epoch + phase.epochs - min(plan.calm_epochs, phase.epochs // 2)


def _sources(run: _Run, phase: Phase) -> tuple[BatchSource, BatchSource | None]:
    """Loaders of pictures, or of features computed once."""
    job = run.job
    train, val = job.train_loader(calm_from=_calm_from(run, phase)), job.val_loader()
    if phase.what != "head-on-features":
        return train, val
    if not job.plan.augment.is_off:
        run.file.write("note", text="the head is trained on features of unaugmented pictures, computed once")
    extractor = feature_extractor(run.network)
    tell = _until_stopped(run)
    features = compute_features(extractor, train, shuffle=True, what="features of train", progress=tell)
    if val is None:
        return features, None
    return features, compute_features(extractor, val, shuffle=False, what="features of validation", progress=tell)


def _until_stopped(run: _Run) -> Progress:
    """Pass progress on, and end at the next step when a stop was asked for: here there is nothing to save."""

    def tell(what: str, done: int, total: int) -> None:
        run.progress(what, done, total)
        if (number := run.stop.signal_number) is not None:
            run.file.write("stop", reason="asked to stop", exit_code=128 + number)
            raise TrainingStopped(number, f"training stopped at {what}")

    return tell


__all__ = ["DivergedError", "TrainingJob", "TrainingStopped", "fit"]
