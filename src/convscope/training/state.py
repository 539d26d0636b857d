"""RunState: all that a run must remember besides weights and optimizer, in one place; a checkpoint writes it whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convscope.records.run import History


@dataclass
class RunState:
    """Where a run is. The only mutable record of training; callbacks change it, a checkpoint saves it.

    Attributes:
        rows: one per finished epoch, as in History.
        phase: index of the present phase; phase_epochs: its finished epochs; batch: finished batches of the next one.
        best_value, best_epoch: of the monitored number so far; best_epoch 0 for none.
        best_weights: the model's variables at that epoch, in the order of the model being fitted; None for none.
        ended: why the present phase is over ("epochs", "patience"); "" while it runs.
        rates: learning rates that were searched, by phase name.
        waited: epochs without gain, for early stopping; plateau_waited, plateau_drops: for the plateau schedule.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    phase: int = 0
    phase_epochs: int = 0
    batch: int = 0
    best_value: float | None = None
    best_epoch: int = 0
    best_weights: list[np.ndarray] | None = None
    waited: int = 0
    plateau_waited: int = 0
    plateau_drops: int = 0
    ended: str = ""
    rates: dict[str, float] = field(default_factory=dict)

    def history(self) -> History:
        """The rows so far."""
        return History(tuple(dict(row) for row in self.rows))

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON form, without the weights; NaN becomes a string, which JSON can hold."""
        kept = {k: v for k, v in vars(self).items() if k != "best_weights"}
        rows = [{k: _to_json(v) for k, v in row.items()} for row in self.rows]
        return {**kept, "rows": rows}

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> RunState:
        """Read what `as_dict` wrote."""
        rows = [{k: _from_json(v) for k, v in row.items()} for row in facts["rows"]]
        return cls(**{**facts, "rows": rows})

    def next_phase(self) -> None:
        """Begin the next phase: its counters start anew, the best so far stays."""
        self.phase += 1
        self.phase_epochs = self.batch = self.waited = self.plateau_waited = self.plateau_drops = 0
        self.ended = ""


_ODD = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


def _to_json(value: Any) -> Any:
    return {"float": str(value)} if isinstance(value, float) and not np.isfinite(value) else value


def _from_json(value: Any) -> Any:
    return _ODD[value["float"]] if isinstance(value, dict) else value
