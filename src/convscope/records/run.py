"""What training did, epoch by epoch, and what to think of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """A sentence about a run with the numbers it rests on.

    `kind` is stable: "healthy", "under-fitting", "over-fitting", "learning-rate-too-high", "leak-suspected",
    "diverged", "not-yet-done", "few-pictures", "vanishing-gradients", "exploding-gradients". `title` is the bold
    sentence, `detail` the numbers in words.
    """

    kind: str
    title: str
    detail: str
    numbers: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class History:
    """One row per epoch: {"epoch": 1, "phase": "head", "loss": ..., "val_loss": ..., "accuracy": ...,
    "learning_rate": ..., "seconds": ...}; names as Keras gives them, epochs counted from 1 over all phases."""

    epochs: tuple[dict[str, Any], ...] = ()

    def column(self, name: str) -> list[float | None]:
        """One metric over all epochs; None where an epoch lacks it."""
        return [row.get(name) for row in self.epochs]
