"""A tuning study as records: each trial with what it chose and reached, read by terminal and report alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class TrialRow:
    """One trial.

    Attributes:
        number: from 0; its run folder is trials/NUMBER with four digits.
        state: "complete", "pruned", "failed" or "running".
        params: name -> value as it was chosen; a conditional name carries its condition.
        value: of the metric; None unless it is complete.
        curve: the metric after each epoch, oldest first.
        seconds: how long it ran; None where it is not known.
        reason: why it failed or was pruned; "" for none.
        parameters: how many numbers its network holds; None where it is not known.
    """

    number: int
    state: str
    params: Mapping[str, Any]
    value: float | None = None
    curve: tuple[float, ...] = ()
    seconds: float | None = None
    reason: str = ""
    parameters: int | None = None


@dataclass(frozen=True)
class Rerun:
    """The best plan trained again: its seed, the metric it reached on validation, its folder's name."""

    seed: int
    value: float
    folder: str


@dataclass(frozen=True)
class StudyFacts:
    """A whole study.

    Attributes:
        name: of its folder; method: how plans were chosen; metric: what was sought.
        is_rising: whether more is better.
        trials: in the order of their numbers.
        importance: parameter -> share of the differences it explains (PED-ANOVA), largest first; empty when unknown.
        reruns: the best plan again with other seeds.
        tested: the winner's scores on the test part, each as a dict of `Scored`; empty before the end.
        fixed: what all trials shared, in words.
    """

    name: str
    method: str
    metric: str
    is_rising: bool
    trials: tuple[TrialRow, ...]
    importance: Mapping[str, float] = field(default_factory=dict)
    reruns: tuple[Rerun, ...] = ()
    tested: Mapping[str, Any] = field(default_factory=dict)
    fixed: tuple[tuple[str, str], ...] = ()

    def ranked(self) -> tuple[TrialRow, ...]:
        """Complete trials, best first; the earlier of two equal ones first."""
        done = [t for t in self.trials if t.state == "complete" and t.value is not None]
        sign = -1.0 if self.is_rising else 1.0
        return tuple(sorted(done, key=lambda t: (sign * float(t.value or 0.0), t.number)))
