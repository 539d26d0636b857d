"""What the processes of one training must agree on: when to stop, and which checkpoint to go on from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from convscope.backend.distribution import awaited, tell, told
from convscope.errors import ConvscopeError, RunError
from convscope.files.journal import JournalFile
from convscope.records.team import Team
from convscope.training.checkpoint import FOLDER, Saved, read_checkpoint
from convscope.training.job import TrainingJob
from convscope.training.resume import restored
from convscope.training.signals import StopRequest

_STOP, _RESUME = "convscope/stop", "convscope/resume"
_NONE, _CANT = "-", "!"


class Agreement:
    """Stop at the same batch in every process: one that stopped alone would leave the others waiting for it.

    The first process decides, two ticks ahead. Between two ticks lies at least one step, which no process ends before
    every other has begun it; so all have heard of it when the time comes.
    """

    def __init__(self, team: Team, stop: StopRequest) -> None:
        """Nothing is asked yet."""
        self._team, self._stop = team, stop
        self._ticks, self._at, self._signal = 0, 0, 0

    def tick(self) -> int | None:
        """Call at each batch's and each epoch's end: the signal to stop for, now and in all processes, or None."""
        asked = self._stop.signal_number
        if self._team.processes == 1:
            return asked
        self._ticks += 1
        if not self._at:
            if self._team.is_first and asked is not None:
                self._at, self._signal = self._ticks + 2, asked
                tell(_STOP, f"{self._at} {self._signal}")
            elif not self._team.is_first and (words := told(_STOP)):
                self._at, self._signal = (int(part) for part in words.split())
        return self._signal if self._at and self._ticks >= self._at else None


def restored_by_all(team: Team, folder: Path, job: TrainingJob, model: Any, file: JournalFile) -> Saved | None:
    """As `resume.restored`; with several processes the first one chooses, and all read the same checkpoint.

    Raises:
        RunError: as there; the other processes only say that the first one could not.
    """
    if team.processes == 1:
        return restored(folder, job, model, file)
    if team.is_first:
        try:
            saved = restored(folder, job, model, file)
        except ConvscopeError:
            tell(_RESUME, _CANT)
            raise
        tell(_RESUME, saved.folder.name if saved else _NONE)
        return saved
    name = awaited(_RESUME)
    if name == _CANT:
        raise RunError(f"{folder}: the first process can't go on; it says why")
    return None if name == _NONE else read_checkpoint(folder / FOLDER / name)
