"""What the judge of explanations finds: one table with intervals, sanity checks, plain words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

# Heat of a method that looks at the weights should have little in common with heat of random weights.
ALIKE = 0.5


@dataclass(frozen=True)
class Sanity:
    """A randomisation check of one method.

    Attributes:
        method: registered name.
        layers: names of the layers drawn anew, from the top; each step keeps the earlier ones random too. Empty for
            the check of labels, in which the whole network learned shuffled labels.
        likeness: mean rank correlation of the heat's size with the original heat after each step, -1..1.
        passed: whether both the last likeness and the mean of all steps are below `ALIKE`, see `depends_on_weights`.
        what: "weights" drawn anew layer by layer, or "labels" shuffled before a training.
        note: how the check was made, in words.
        unrelated: mean rank correlation of the heat of different pictures, untouched weights: likeness that means
            nothing; None for one picture, and where it was not asked for.
    """

    method: str
    layers: tuple[str, ...]
    likeness: tuple[float, ...]
    passed: bool
    what: Literal["weights", "labels"] = "weights"
    note: str = ""
    unrelated: float | None = None

    @property
    def mean(self) -> float:
        """Mean likeness over the steps."""
        return sum(self.likeness) / len(self.likeness)

    def words(self) -> str:
        """One plain sentence."""
        last = f"{self.likeness[-1]:.2f}"
        if self.what == "labels":
            how = "when the network has learned shuffled labels instead"
            if self.passed:
                return f"{self.method} changes {how} (likeness {last}): it depends on what was learned."
            return f"{self.method} fails the check of labels on this model: {how}, its heat stays alike ({last})."
        chance = "" if self.unrelated is None else f"; two different pictures have {self.unrelated:.2f}"
        values = f"likeness {self.mean:.2f} on the way down, {last} at the end{chance}"
        if self.passed:
            return f"{self.method} changes when the weights are drawn anew ({values}): it looks at the network."
        if self.likeness[-1] < ALIKE:
            return (
                f"{self.method} fails its sanity check on this model: its heat stays alike until the first layers are "
                f"random too ({values}); it shows the edges these layers find, not what the later ones learned."
            )
        return (
            f"{self.method} fails its sanity check on this model: with random weights its heat stays alike ({values}); "
            "it shows the picture, not what the network learned."
        )


def depends_on_weights(likeness: Sequence[float]) -> bool:
    """Whether heat changed enough while the weights were drawn anew step by step, from the last layer to the first.

    The end alone is not enough: guided backpropagation hardly changes while the later layers, which tell classes apart,
    become random, and does so only when the edge detectors are lost as well.

    Args:
        likeness: after each step, -1..1.

    Source: Adebayo et al. 2018, Sanity Checks for Saliency Maps, figures 2 to 4 (the whole cascade is compared).

    Example:
        >>> depends_on_weights((0.9, 0.8, 0.6, 0.2)), depends_on_weights((0.3, 0.1, 0.0, 0.1))
        (False, True)
    """
    return likeness[-1] < ALIKE and sum(likeness) / len(likeness) < ALIKE


RANDOM = "random map"
# name -> (larger is better, what it says)
MEASURES: dict[str, tuple[bool, str]] = {
    "insertion": (True, "mean score while the warmest pixels are shown first over a blurred picture"),
    "deletion": (False, "mean score while the warmest pixels are blacked out first"),
    "road": (True, "score lost by removing warm pixels rather than cold ones, filled in smoothly"),
    "confidence drop": (False, "share of the score that is lost when only warm places show"),
    "confidence gain": (True, "share of pictures whose score rises when only warm places show"),
    "energy inside": (True, "share of the heat inside the mask or box"),
    "pointing game": (True, "share of pictures whose warmest place lies inside the mask or box"),
    "sensitivity": (False, "largest change of the heat under small noise on the picture, relative to the heat"),
}
RANKED_BY = ("insertion", "deletion", "road", "energy inside", "pointing game")


@dataclass(frozen=True)
class Measured:
    """A mean over pictures with a 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Judgement:
    """What the judge found.

    Attributes:
        methods: best first; a random map is always among them.
        measures: names, in the order of MEASURES.
        table: method -> measure -> Measured.
        per_picture: method -> measure -> (n,).
        sanity: method -> its check with random weights, where it was asked for.
        labels: method -> its check with shuffled labels, where it was asked for.
        curves: method -> "insertion" and "deletion", each the mean score (steps + 1,) over pictures.
        heats: method -> (n, h, w) what was judged.
        alike: (methods, methods) mean rank correlation, in the order of `methods`.
        words: plain sentences.
    """

    methods: tuple[str, ...]
    measures: tuple[str, ...]
    table: dict[str, dict[str, Measured]]
    per_picture: dict[str, dict[str, np.ndarray]]
    sanity: dict[str, Sanity] = field(default_factory=dict)
    labels: dict[str, Sanity] = field(default_factory=dict)
    curves: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    heats: dict[str, np.ndarray] = field(default_factory=dict)
    alike: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    words: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON form."""
        return {
            "methods": list(self.methods),
            "measures": {m: MEASURES[m][1] for m in self.measures},
            "table": {k: {m: vars(v) for m, v in row.items()} for k, row in self.table.items()},
            "sanity": {k: vars(v) for k, v in self.sanity.items()},
            "labels": {k: vars(v) for k, v in self.labels.items()},
            "curves": {k: {m: v.tolist() for m, v in row.items()} for k, row in self.curves.items()},
            "agreement": self.alike.tolist(),
            "words": list(self.words),
        }

    def __str__(self) -> str:
        """The table as text, then the words."""
        head = ["", *self.measures]
        rows = [[m, *(_cell(self.table[m].get(k)) for k in self.measures)] for m in self.methods]
        widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths)).rstrip() for r in [head, *rows]]
        return "\n".join([*lines, "", *self.words])


def judgement_from(values: dict[str, Any]) -> Judgement:
    """What `as_dict` wrote, read back; heat and the numbers of single pictures are not in it."""

    def checks(name: str) -> dict[str, Sanity]:
        found = {k: dict(v) for k, v in values[name].items()}
        return {k: Sanity(**v | {n: tuple(v[n]) for n in ("layers", "likeness")}) for k, v in found.items()}

    return Judgement(
        methods=tuple(values["methods"]),
        measures=tuple(values["measures"]),
        table={k: {m: Measured(**v) for m, v in row.items()} for k, row in values["table"].items()},
        per_picture={},
        sanity=checks("sanity"),
        labels=checks("labels"),
        curves={k: {m: np.array(v) for m, v in row.items()} for k, row in values["curves"].items()},
        alike=np.array(values["agreement"]),
        words=tuple(values["words"]),
    )


def _cell(found: Measured | None) -> str:
    return "" if found is None else f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"
