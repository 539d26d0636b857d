"""Run: a run folder and what one asks of it from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convscope.actions.evaluate import evaluate_run
from convscope.actions.look import Scope
from convscope.actions.opening import find_run
from convscope.actions.report import write_report
from convscope.actions.run_folder import RunFolder
from convscope.actions.say import predict_files
from convscope.records.prediction import Scores
from convscope.records.progress import Progress, silent


class Run(RunFolder):
    """A run from Python: the model, its history and scores, and what one asks of them.

    Example:
        >>> run = convscope.open_run("last")  # doctest: +SKIP
        >>> run.model.summary()  # doctest: +SKIP
    """

    def evaluate(self, data: Any = None, *, progress: Progress = silent) -> Scores:
        """Score the model on `data` (pictures with labels), or on the run's own kept-back pictures."""
        return evaluate_run(self, data, progress=progress)

    def predict(self, files: Sequence[str | Path], *, native_size: bool = False, progress: Progress = silent) -> Any:
        """Say what the model sees in picture files: Predictions, Detections or Segmentations, by its task."""
        return predict_files(self.opened, files, native_size=native_size, progress=progress)

    def report(self, *, out: Path | None = None, judge: int = 0, progress: Progress = silent) -> Path:
        """Write the report, one HTML file; return its path. `judge` pictures are explained and judged first."""
        return write_report(self, out=out, judge=judge, progress=progress)

    def scope(self) -> Scope:
        """Look inside the finished model."""
        return Scope(self.opened)


def open_run(run: str | Path) -> Run:
    """Open a run: a folder, a name below runs/, or "last".

    Raises:
        RunError: no such run; says the nearest names.
    """
    return Run(find_run(run))
