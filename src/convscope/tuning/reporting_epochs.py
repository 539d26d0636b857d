"""The callback that tells a study of every epoch, and ends a trial that the study gives up."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from convscope.backend.selection import load_keras
from convscope.files.journal import read_journal

keras = load_keras()

_Callback: Any = keras.callbacks.Callback


class TrialGivenUp(Exception):
    """The study has no hope for this trial; `epoch` is its last one."""

    def __init__(self, epoch: int) -> None:
        """Remember the epoch."""
        super().__init__(f"given up after epoch {epoch}")
        self.epoch = epoch


class ReportEpochs(_Callback):
    """After each epoch tell the study the metric so far; the run's journal, written just before, says which epoch.

    The best value so far is told, not the last one: that is what the finished trial is judged by.
    """

    def __init__(self, trial: Any, folder: Path, metric: str, *, is_rising: bool) -> None:
        """`trial` is Optuna's; `folder` the run's."""
        super().__init__()
        self._trial, self._folder, self._metric = trial, folder, metric
        self._sign = 1.0 if is_rising else -1.0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Report; a resumed epoch that was told before is not told again.

        Raises:
            TrialGivenUp: the study's pruner says so.
        """
        rows = {e["epoch"]: e.get(self._metric) for e in read_journal(self._folder) if e["event"] == "epoch"}
        real = [v for v in rows.values() if v is not None and math.isfinite(v)]
        number = max(rows)
        if not real or number in self._trial.study.get_trials(deepcopy=False)[self._trial.number].intermediate_values:
            return
        self._trial.report(self._sign * max(self._sign * v for v in real), number)
        if self._trial.should_prune():
            raise TrialGivenUp(number)
