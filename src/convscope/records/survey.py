"""What a survey of a data set finds: case by case, group by group, right for the wrong reason first."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Case:
    """One picture: what it is, what the network says and how sure it is, 0..1; how much of the heat is on the object.

    `energy` is the share of the heat inside the mask, `hit` whether its warmest place is inside; None without a mask.
    `border` is the share of the heat in the outer eighth of the picture on each side.
    """

    label: str
    truth: int
    says: int
    confidence: float
    border: float
    energy: float | None = None
    hit: bool | None = None

    @property
    def is_right(self) -> bool:
        """Whether the network says the truth."""
        return self.truth == self.says

    @property
    def suspicion(self) -> float:
        """Confidence x heat off the object (the border where no object is marked); 0 for wrong answers."""
        off = self.border if self.energy is None else 1 - self.energy
        return self.confidence * off if self.is_right else 0.0


@dataclass(frozen=True, eq=False)
class Group:
    """Pictures of one class that were right, or wrong: how many, their mean heat (14, 14) each scaled to 1, energy."""

    truth: int
    is_right: bool
    n: int
    heat: np.ndarray
    energy: float | None


@dataclass(frozen=True, eq=False)
class Survey:
    """A surveyed data set.

    Attributes:
        method: registered name.
        cases: right for the wrong reason first, then the other right ones, then the wrong ones, surest first.
        groups: by class, right before wrong.
        words: plain sentences.
    """

    method: str
    cases: tuple[Case, ...]
    groups: tuple[Group, ...]
    words: tuple[str, ...] = field(default_factory=tuple)
