"""How each layer of a network learned: its state at one moment, what is wrong with it, and all moments of a run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

VANISHING, EXPLODING = 1e-3, 1e3  # gradient norm of a layer / that of the last one
TOO_SMALL, TOO_LARGE = 1e-5, 1e-1  # |update| / |weight| of one step
SATURATED = 0.9  # share of units

TroubleKind = Literal["vanishing", "exploding", "saturated", "still", "fast"]


@dataclass(frozen=True)
class LayerState:
    """One layer at one moment of training.

    Attributes:
        layer: path.
        gradient_norm: L2 norm of the loss' gradient at the layer's output (of the last layer: before its softmax or
            sigmoid), mean over pictures; None for a layer without weights that are trained.
        saturated: share of units with |f'| < 0.01 (sigmoid, tanh) or f' = 0 (ReLU, ReLU6); None for another activation.
        update_ratio: L2 norm of the last change of the weights / L2 norm of the weights; None without earlier weights.
        kind: class of the layer.
        is_branch: only part of the loss reaches it (a detector's heads, of which pictures without large objects use
            none for large ones): little gradient and small steps are no fault there.
    """

    layer: str
    gradient_norm: float | None
    saturated: float | None
    update_ratio: float | None
    kind: str = ""
    is_branch: bool = False

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> LayerState:
        """The state that a journal holds."""
        return cls(**{f.name: facts[f.name] for f in fields(cls) if f.name in facts})


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a layer.

    "vanishing", "exploding": `value` is its gradient norm and `against` that of the last layer; "saturated": the
    share of its units; "still", "fast": the size of one step as a share of the weights.
    """

    kind: TroubleKind
    layer: str
    value: float
    against: float = 0.0


def last_norm(states: Sequence[LayerState]) -> float:
    """The gradient norm of the last trained layer, which the others are compared with; 0 where there is none."""
    norms = [s.gradient_norm for s in states if s.gradient_norm]
    return norms[-1] if norms and math.isfinite(norms[-1]) else 0.0


def troubles(states: Sequence[LayerState]) -> tuple[Trouble, ...]:
    """What is wrong at one moment, in network order; empty when nothing is."""
    last, found = last_norm(states), []
    for state in states:
        norm, ratio = state.gradient_norm, state.update_ratio
        judged = bool(last) and not state.is_branch
        if norm is not None and (not math.isfinite(norm) or (judged and norm >= EXPLODING * last)):
            found.append(Trouble("exploding", state.layer, norm, last))
        elif norm is not None and judged and norm <= VANISHING * last:
            found.append(Trouble("vanishing", state.layer, norm, last))
        if state.saturated is not None and state.saturated > SATURATED:
            found.append(Trouble("saturated", state.layer, state.saturated))
        if ratio is not None and not (0 if state.is_branch else TOO_SMALL) <= ratio <= TOO_LARGE:
            found.append(Trouble("still" if ratio < TOO_SMALL else "fast", state.layer, ratio))
    return tuple(found)


@dataclass(frozen=True, eq=False)
class LearningHistory:
    """Every watched layer at every epoch of a run.

    Attributes:
        epochs: numbers, from 1.
        states: one tuple per epoch; a layer that is frozen in an epoch is missing from it.
    """

    epochs: tuple[int, ...]
    states: tuple[tuple[LayerState, ...], ...]

    @classmethod
    def from_events(cls, events: Iterable[Mapping[str, Any]]) -> LearningHistory:
        """From a journal's events; an epoch that was repeated after a resume counts as it ran last."""
        rows: dict[int, tuple[LayerState, ...]] = {}
        for event in events:
            if event.get("event") == "layers":
                rows[int(event["epoch"])] = tuple(LayerState.from_dict(facts) for facts in event["layers"])
        numbers = sorted(rows)
        return cls(tuple(numbers), tuple(rows[n] for n in numbers))

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer that was watched, in network order."""
        most = max(self.states, key=len, default=())
        rest = [s.layer for states in self.states for s in states]
        return tuple(dict.fromkeys([*(s.layer for s in most), *rest]))

    def table(self, field: str) -> np.ndarray:
        """One number of each layer at each epoch: (layers, epochs) float64, NaN where there is none."""
        at = {layer: i for i, layer in enumerate(self.layers)}
        found = np.full((len(at), len(self.epochs)), np.nan)
        for column, states in enumerate(self.states):
            for state in states:
                value = getattr(state, field)
                if value is not None:
                    found[at[state.layer], column] = value
        return found

    def lasting(self) -> tuple[Trouble, ...]:
        """Troubles that lasted: in at least half of all epochs; each as it was when seen last."""
        count: dict[tuple[str, str], int] = {}
        latest: dict[tuple[str, str], Trouble] = {}
        for states in self.states:
            for trouble in troubles(states):
                key = (trouble.kind, trouble.layer)
                count[key] = count.get(key, 0) + 1
                latest[key] = trouble
        return tuple(latest[key] for key, times in count.items() if 2 * times >= len(self.epochs))
