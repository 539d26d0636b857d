"""Go on exactly where a run stopped, or refuse and say what differs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from convscope.backend.randomness import restore_generator_state
from convscope.backend.selection import backend_name, load_keras
from convscope.errors import RunError
from convscope.files.atomic import TEMPORARY_PREFIX
from convscope.files.journal import JOURNAL, JournalFile, plain, read_journal
from convscope.training.checkpoint import FOLDER, Saved, newest_valid
from convscope.training.feed import Feed
from convscope.training.job import TrainingJob
from convscope.training.plan import Plan
from convscope.training.plan_text import first_difference, toml_values
from convscope.training.weights import write_variables

keras = load_keras()

_Callback: Any = keras.callbacks.Callback

# what may change between stop and resume: it says how long, how fast or what is kept, not what is learned
MAY_CHANGE = (
    "epochs", "head_epochs", "patience", "keep_checkpoints", "checkpoint_minutes", "track", "workers", "cache_mb",
    "download",
)  # fmt: skip


def model_print(model: Any) -> str:
    """SHA-256 over name, shape and dtype of every variable; layer names are left out, Keras counts them on."""
    words = [f"{v.name} {tuple(v.shape)} {v.dtype}" for v in model.variables]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def fingerprints(job: TrainingJob, model: Any) -> dict[str, Any]:
    """What must be the same for a resume, as it stands in every checkpoint."""
    return {
        "plan": plain(toml_values(job.plan)),
        "data_sha256": job.fingerprint(),
        "model_sha256": model_print(model),
        "backend": backend_name(),
    }


def check_same(saved: dict[str, Any], now: dict[str, Any], where: Path) -> None:
    """Compare fingerprints.

    Raises:
        RunError: naming the first difference that a resume can't bridge.
    """
    if saved["data_sha256"] != now["data_sha256"]:
        raise RunError(
            f"{where}: expected the data of the first start, got another data set or split; start a new run, "
            "or go on with new data with --continue-from"
        )
    usual = plain(toml_values(Plan()))  # a field that did not exist at the first start had its default
    other = first_difference(
        {name: value for name, value in usual.items() if name in now["plan"]} | saved["plan"],
        now["plan"],
        but=MAY_CHANGE,
    )
    if other is not None:
        name, old, new = other
        raise RunError(
            f"{where}: expected the plan of the first start ({name} = {old!r}), got {name} = {new!r}; set it back, "
            f"or start a new run (only {', '.join(MAY_CHANGE)} may change)"
        )
    for name, words in (("model_sha256", "network"), ("backend", "back end")):
        if saved[name] != now[name]:
            was = f" ({saved[name]})" if name == "backend" else ""
            raise RunError(f"{where}: expected the {words} of the first start{was}, got another; start a new run")


def restored(folder: Path, job: TrainingJob, model: Any, file: JournalFile) -> Saved | None:
    """Read the newest whole checkpoint of a run and check that it fits; damaged ones are named in the journal.

    None for a run that was stopped before its first checkpoint: nothing was learned, it begins anew.

    Raises:
        RunError: all are damaged, this is no run, or data, plan, network or back end differ.
    """
    if not _has_saved(folder) and _has_begun(folder):
        file.write("note", text="stopped before its first checkpoint: training begins anew")
        return None
    saved, damaged = newest_valid(folder)
    check_same(saved.prints, fingerprints(job, model), saved.folder)
    for words in damaged:
        file.write("note", text=f"passed over a damaged checkpoint: {words}; going on from {saved.folder.name}")
    file.write("resume", folder=saved.folder.name, epoch=len(saved.state.rows), batch=saved.state.batch)
    return saved


def _has_saved(folder: Path) -> bool:
    place = folder / FOLDER
    return place.is_dir() and any(not p.name.startswith(TEMPORARY_PREFIX) for p in place.iterdir())


def _has_begun(folder: Path) -> bool:
    """Whether the journal says that a run started, and nothing of a finished epoch."""
    if not (folder / JOURNAL).is_file():
        return False
    kinds = {event["event"] for event in read_journal(folder)}
    return "start" in kinds and "checkpoint" not in kinds


class RestoreOnce(_Callback):
    """Put back what Keras resets at the start of fit: running metrics inside an epoch, PyTorch's generator."""

    def __init__(self, saved: Saved) -> None:
        """Acts at the first epoch and batch only."""
        super().__init__()
        self._metrics: list[np.ndarray] = saved.metrics
        self._generator: np.ndarray | None = saved.generator

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """After Keras has reset the metrics."""
        if self._metrics:
            write_variables(self.model.metrics_variables, self._metrics, "metrics")
            self._metrics = []

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """After the first batches were made."""
        if self._generator is not None:
            restore_generator_state(self._generator)
            self._generator = None


def restore(saved: Saved, model: Any, feed: Feed) -> RestoreOnce:
    """Put the optimizer back into a compiled model, and give the callback that does the rest.

    Running metrics exist only after a step, so one test step on the first batch makes them; it changes no weight.
    """
    write_variables(model.optimizer.variables, saved.optimizer, "optimizer")
    if saved.metrics:
        model.test_on_batch(*feed[0])
    return RestoreOnce(saved)


def plan_of(saved: Saved) -> Plan:
    """The plan that a checkpoint was written under."""
    return Plan(**saved.prints["plan"])
