"""Checkpoints: one folder per point in a run, whole or absent, with a SHA-256 for every file.

`checkpoints/epoch-0003/` holds weights, optimizer, the best weights so far, the state of the run and fingerprints of
plan and data; `epoch-0003-batch-00012` was written inside the fourth epoch and holds the running metrics as well.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from convscope.backend.randomness import generator_state, sync_model
from convscope.backend.selection import load_keras
from convscope.errors import BundleError, RunError
from convscope.files.atomic import atomic_folder, remove_folder, sweep_temporary, write_json
from convscope.files.journal import JournalFile
from convscope.files.manifest import check_manifest, write_manifest
from convscope.files.tensors import save_tensors
from convscope.training.plan import Plan
from convscope.training.signals import StopRequest, TrainingStopped
from convscope.training.state import RunState
from convscope.training.weights import read_variables

keras = load_keras()

_Callback: Any = keras.callbacks.Callback

FOLDER = "checkpoints"
KIND = "checkpoint"
FORMAT = 1
_PLACE = re.compile(r"epoch-(\d+)(?:-batch-(\d+))?")
_OVERHEAD = 50  # at an epoch's end write only when this many times the last write's seconds have passed: 2 % at most


@dataclass(frozen=True, eq=False)
class Saved:
    """A checkpoint read back, checked.

    Attributes:
        folder: where it lies.
        state: the run's state with the best weights in it.
        weights, optimizer, metrics: arrays in the order of the variables; metrics are empty at an epoch's end.
        generator: the back end's random state, see `backend.randomness`.
        prints: fingerprints of plan, data, model and back end.
    """

    folder: Path
    state: RunState
    weights: list[np.ndarray]
    optimizer: list[np.ndarray]
    metrics: list[np.ndarray]
    generator: np.ndarray
    prints: dict[str, Any]


def _save(path: Path, arrays: list[np.ndarray]) -> None:
    save_tensors(path, {f"{i:05d}": np.asarray(a) for i, a in enumerate(arrays)})


def _load(path: Path) -> list[np.ndarray]:
    return [value for _, value in sorted(load_file(path).items())] if path.exists() else []


def checkpoint_name(state: RunState) -> str:
    """Folder name of the state's place in the run."""
    name = f"epoch-{len(state.rows):04d}"
    return f"{name}-batch-{state.batch:05d}" if state.batch else name


def write_checkpoint(folder: Path, *, state: RunState, whole: Any, fitted: Any, prints: dict[str, Any]) -> Path:
    """Write one checkpoint below the run folder, atomically.

    Args:
        folder: the run folder.
        state: where the run is.
        whole: the model that the run is about; all its variables are saved.
        fitted: the model inside `fit`, with the optimizer and metrics: the same one, or a head on cached features.
        prints: fingerprints of plan, data, model and back end.

    Raises:
        StorageError: the disk refuses; earlier checkpoints stay as they are.
    """
    sync_model(fitted)
    path = folder / FOLDER / checkpoint_name(state)
    with atomic_folder(path) as temporary:
        _save(temporary / "weights.safetensors", read_variables(whole.variables))
        _save(temporary / "optimizer.safetensors", read_variables(fitted.optimizer.variables))
        if state.best_weights is not None:
            _save(temporary / "best.safetensors", state.best_weights)
        if state.batch:
            _save(temporary / "metrics.safetensors", read_variables(fitted.metrics_variables))
        _save(temporary / "generator.safetensors", [generator_state()])
        write_json(temporary / "state.json", {"format": FORMAT, "state": state.as_dict(), "prints": prints})
        write_manifest(temporary, KIND)
    return path


def read_checkpoint(path: Path) -> Saved:
    """Read one checkpoint.

    Raises:
        BundleError: a file is missing or damaged; names it.
        RunError: written by a newer convscope.
    """
    check_manifest(path, KIND)
    facts = json.loads((path / "state.json").read_text(encoding="utf-8"))
    if facts.get("format") != FORMAT:
        raise RunError(f"{path}: expected a checkpoint of format {FORMAT}, got {facts.get('format')}; update convscope")
    state = RunState.from_dict(facts["state"])
    state.best_weights = _load(path / "best.safetensors") or None
    return Saved(
        folder=path,
        state=state,
        weights=_load(path / "weights.safetensors"),
        optimizer=_load(path / "optimizer.safetensors"),
        metrics=_load(path / "metrics.safetensors"),
        generator=_load(path / "generator.safetensors")[0],
        prints=facts["prints"],
    )


def checkpoints(folder: Path) -> list[Path]:
    """All checkpoints of a run folder, newest first: by epoch and batch, whatever any clock said."""
    found = [(match, path) for path in (folder / FOLDER).glob("epoch-*") if (match := _PLACE.fullmatch(path.name))]
    return [path for _, path in sorted(((int(m[1]), int(m[2] or 0)), p) for m, p in found)][::-1]


def newest_valid(folder: Path) -> tuple[Saved, list[str]]:
    """The newest checkpoint that is whole, and what was wrong with newer ones, in words.

    Damaged ones are kept for a look, renamed to "damaged-...", so that nothing counts them again; what killed writers
    left unfinished is swept away.

    Raises:
        RunError: there is none; says what was wrong with each.
    """
    damaged: list[str] = []
    if (folder / FOLDER).is_dir():
        sweep_temporary(folder / FOLDER)
    for path in checkpoints(folder):
        try:
            return read_checkpoint(path), damaged
        except BundleError as error:
            damaged.append(str(error))
            path.rename(_free(path.with_name(f"damaged-{path.name}")))
    found = "; ".join(damaged) or "none is there"
    raise RunError(f"{folder}: expected a checkpoint to go on from, {found}; start a new run")


def _free(path: Path) -> Path:
    """`path`, or the same name with the first number that is not taken."""
    names = (path if n == 1 else path.with_name(f"{path.name}-{n}") for n in count(1))
    return next(name for name in names if not name.exists())


class Checkpoint(_Callback):
    """Write checkpoints during training, and stop cleanly when asked to.

    At an epoch's end unless the last one is so fresh that writing would cost over 2 % of the time; inside an epoch
    when `plan.checkpoint_minutes` have passed; and at the next batch when a stop was asked for.
    """

    def __init__(
        self, folder: Path, *, plan: Plan, state: RunState, whole: Any, prints: dict[str, Any], stop: StopRequest,
        asked: Callable[[], int | None], writes: bool = True,
    ) -> None:  # fmt: skip
        """The model being fitted is the one Keras sets; `whole` is the one saved.

        `asked`, called at each batch's and epoch's end, gives the signal to stop for; a process that `writes` nothing
        stops all the same.
        """
        super().__init__()
        self._folder, self._plan, self._state, self._whole = folder, plan, state, whole
        self._prints, self._stop, self._asked, self._writes = prints, stop, asked, writes
        self._file: JournalFile | None = None
        self._last_s = time.monotonic()
        self._cost_s = 0.0
        self.written: Path | None = None

    def report_to(self, file: JournalFile) -> None:
        """Write a "checkpoint" event for each one to this journal."""
        self._file = file

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Write inside an epoch when time or a stop asks for it; the last batch waits for the epoch's end.

        Raises:
            TrainingStopped: after the checkpoint that a stop asked for.
        """
        signal_number = self._asked()
        if batch + 1 >= (self.params or {}).get("steps", 0):
            return
        if signal_number is not None:
            self._end(signal_number)
        if time.monotonic() - self._last_s >= 60 * self._plan.checkpoint_minutes:
            self.write()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write unless the last one is fresh.

        Raises:
            TrainingStopped: after the checkpoint that a stop asked for.
        """
        if (signal_number := self._asked()) is not None:
            self._end(signal_number)
        if time.monotonic() - self._last_s >= _OVERHEAD * self._cost_s:
            self.write()

    def _end(self, signal_number: int) -> None:
        self._stop.settle()
        self.write()
        raise TrainingStopped(signal_number)

    def write(self) -> None:
        """Write now, then remove those that the plan does not keep; weights with NaN never replace finite ones."""
        if not self._writes:
            return
        began_s = time.monotonic()
        sync_model(self.model)
        if not all(np.isfinite(v).all() for v in read_variables(self.model.trainable_variables)):
            if self._file is not None:
                self._file.write("note", text="no checkpoint written here: weights hold NaN or infinity")
            return
        self.written = write_checkpoint(
            self._folder, state=self._state, whole=self._whole, fitted=self.model, prints=self._prints
        )
        self._last_s = time.monotonic()
        self._cost_s = self._last_s - began_s
        if self._file is not None:
            self._file.write("checkpoint", folder=self.written.name, seconds=round(self._cost_s, 3))
        prune(self._folder, keep=self._plan.keep_checkpoints, best_epoch=self._state.best_epoch)


def prune(folder: Path, *, keep: int, best_epoch: int) -> None:
    """Remove all checkpoints but the `keep` newest and that of the best epoch."""
    for path in checkpoints(folder)[keep:]:
        if path.name != f"epoch-{best_epoch:04d}":
            remove_folder(path)
