"""One training by several processes: start them, watch over them, begin again from a checkpoint when one is lost.

Data parallel over `keras.distribution` on JAX: every process has the whole network and its share of each batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import convscope.errors as errors
from convscope.actions.launching import Handle, Launcher, open_launcher
from convscope.actions.opening import RUNS, find_run
from convscope.backend.selection import backend_for_many
from convscope.errors import ConvscopeError, PlanError, RunError
from convscope.files.journal import JOURNAL, JournalFile, plain
from convscope.records.progress import Progress, silent
from convscope.records.team import Team
from convscope.training.plan import Plan
from convscope.training.plan_text import toml_values
from convscope.training.signals import StopRequest, TrainingStopped

MODULE = "convscope.actions.together_worker"
LOGS = "processes"
_LOOK_S, _GRACE_S, _STOP_S, _MOST_LOSSES = 0.2, 5.0, 60.0, 3

if TYPE_CHECKING:
    from convscope.actions.run import Run

Opener = Callable[[], Launcher]


def train_together(
    data: str | Path | None,
    *,
    processes: int,
    devices: int = 1,
    launcher: str = "local",
    plan: Plan | None = None,
    out: str | Path | None = None,
    name: str = "",
    notes: Sequence[str] = (),
    continue_from: str | Path | None = None,
    resume: str | Path | None = None,
    changes: dict[str, Any] | None = None,
    progress: Progress = silent,
) -> Run:
    """Train one network by several processes, each with its own devices; the result is one run folder as any other.

    Args:
        data: a path, which all processes read; None on a resume.
        processes: how many.
        devices: GPUs of each; on a CPU so many virtual devices.
        launcher: "local" on this machine, "ray" on a Ray cluster (the run folder must lie on a disk that all share).
        plan: every other choice, as for `train`; batch_size is that of all devices together.
        out: the run folder.
        name: of the data.
        notes: words that must stand in the report.
        continue_from: begin with the weights of this run or bundle.
        resume: go on with this run instead; the number of processes may be another one than before.
        changes: plan fields to change on a resume.
        progress: told what the first process does.

    Raises:
        PlanError: what can't work. RunError: processes were lost three times without a new checkpoint.
        TrainingStopped: asked to stop; the processes wrote a checkpoint. And what `train` raises.
    """
    chosen = plan or Plan()
    if processes < 1 or devices < 1:
        raise PlanError(f"expected at least 1 process and 1 device, got {processes} and {devices}")
    if data is not None and not isinstance(data, str | Path):
        raise PlanError("expected data as a path for several processes, got arrays; each of them reads it from there")
    if resume is None and data is None:
        raise PlanError("expected DATA, a folder or table of pictures")
    if chosen.folds:
        raise PlanError("expected folds = 0 for several processes; folds are runs of their own")
    Team(0, processes, devices).check(chosen.batch_size)
    folder = find_run(resume) if resume is not None else _folder(out, Path(str(data)), name)
    order = {
        "data": None if data is None else str(Path(data).resolve()), "out": str(folder.resolve()), "name": name,
        "notes": list(notes), "plan": plain(toml_values(chosen)), "changes": plain(changes or {}),
        "continue_from": None if continue_from is None else str(continue_from), "processes": processes,
        "devices": devices, "resume": resume is not None,
    }  # fmt: skip
    backend = backend_for_many(processes)
    _until_done(
        folder, order, lambda: open_launcher(launcher, processes=processes, devices=devices, backend=backend), progress
    )
    from convscope.actions.run import Run  # not before: it loads Keras, and that may take a GPU the processes need

    return Run(folder)


def _folder(out: str | Path | None, data: Path, name: str) -> Path:
    label = (name or data.resolve().stem).replace(" ", "-")
    return Path(out) if out is not None else RUNS / f"{label}-{datetime.now():%Y%m%d-%H%M%S}"


def _until_done(folder: Path, order: dict[str, Any], opener: Opener, progress: Progress) -> None:
    """Start the processes; when some are lost, start all again from the newest checkpoint."""
    losses, before = 0, _newest(folder)
    with StopRequest(_STOP_S) as stop:
        while True:
            launcher = opener()
            try:
                lost = _Round(launcher, order, folder, progress, stop).run()
            finally:
                launcher.close()
            if not lost:
                return
            losses = losses + 1 if _newest(folder) == before else 1
            before = _newest(folder)
            if losses >= _MOST_LOSSES:
                raise RunError(f"{folder}: {lost}, {losses} times without a new checkpoint; the first: {_last(folder)}")
            if (folder / JOURNAL).exists():
                order = {**order, "resume": True, "data": order["data"]}
                JournalFile(folder).write("note", text=f"{lost}; all begin again from {before or 'the start'}")


def _newest(folder: Path) -> str:
    found = sorted(p.name for p in (folder / "checkpoints").glob("epoch-*"))
    return found[-1] if found else ""


def _last(folder: Path) -> str:
    """The last line that any process wrote to its log."""
    for log in sorted((folder / LOGS).glob("*.log")):
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if lines:
            return f"{lines[-1][:300]} ({log})"
    return f"nothing in {folder / LOGS}"


class _Round:
    """All processes from their start to the end of the last one."""

    def __init__(
        self, launcher: Launcher, order: dict[str, Any], folder: Path, progress: Progress, stop: StopRequest
    ) -> None:
        self._progress, self._stop = progress, stop
        where = {**order, "address": launcher.address() if order["processes"] > 1 else ""}
        self._running: list[Handle] = []
        self._errors: list[ConvscopeError] = []
        self._is_asked = False
        try:
            for rank in range(order["processes"]):
                log = folder.resolve() / LOGS / f"process-{rank}.log"
                self._running.append(launcher.start(MODULE, {**where, "rank": rank}, rank, log))
        except BaseException:
            self._end()
            raise

    def run(self) -> str:
        """Wait for all. "" when they are done, else in words who was lost.

        Raises:
            TrainingStopped: after a stop was asked for. ConvscopeError: what a process said that can't work.
        """
        try:
            return self._wait()
        finally:
            self._end()

    def _wait(self) -> str:
        until: float | None = None
        while True:
            codes = [handle.poll() for handle in self._running]
            self._listen()
            if all(code is not None for code in codes):
                break
            if self._stop.signal_number is not None and not self._is_asked:
                self._ask()
            if until is None and any(codes):  # one has failed: what the others still have to say comes soon
                until = time.monotonic() + (_STOP_S if self._is_asked else _GRACE_S)
            if until is not None and time.monotonic() > until:
                break
            time.sleep(_LOOK_S)
        return self._outcome(codes)

    def _outcome(self, codes: Sequence[int | None]) -> str:
        if self._is_asked and self._stop.signal_number is not None:
            raise TrainingStopped(self._stop.signal_number)
        if self._errors:
            raise self._errors[0]
        failed = [f"{rank} (exit code {code})" for rank, code in enumerate(codes) if code]
        return f"lost process {', '.join(failed)}" if failed else ""

    def _listen(self) -> None:
        for rank, handle in enumerate(self._running):
            for said in handle.heard():
                if "error" in said:
                    kind = getattr(errors, str(said.get("kind")), RunError)
                    self._errors.append(kind(str(said["error"])))
                elif rank == 0 and "progress" in said:
                    what, done, total = said["progress"]
                    self._progress(str(what), int(done), int(total))

    def _ask(self) -> None:
        self._is_asked = True
        self._stop.settle()
        for handle in self._running:
            if handle.poll() is None:
                handle.terminate()

    def _end(self) -> None:
        for handle in self._running:
            if handle.poll() is None:
                handle.kill()
