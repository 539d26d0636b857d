"""Does an explanation depend on what the network learned? Weights are drawn anew, layer by layer from the top.

A method whose heat stays the same when the network's weights are random shows the picture, not the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.errors import ModelError
from convscope.explaining.agreement import rank_correlation
from convscope.explaining.engine import Limits, Wish, explain
from convscope.records.progress import Progress, silent
from convscope.scope.paths import operations_by_path
from convscope.scope.target import TargetLike

# Heat of a method that looks at the weights should have little in common with heat of random weights.
ALIKE = 0.5


@dataclass(frozen=True)
class Sanity:
    """The cascading randomisation check of one method.

    Attributes:
        layers: names of the layers drawn anew, from the top; each step keeps the earlier ones random too.
        likeness: mean rank correlation of the heat's size with the original heat after each step, -1..1.
        passed: whether the last likeness is below `ALIKE`.
    """

    method: str
    layers: tuple[str, ...]
    likeness: tuple[float, ...]
    passed: bool

    def words(self) -> str:
        """One plain sentence."""
        last = f"{self.likeness[-1]:.2f}"
        if self.passed:
            return f"{self.method} changes when the weights are drawn anew (likeness {last}): it looks at the network."
        return (
            f"{self.method} fails its sanity check on this model: with random weights its heat stays alike ({last}); "
            "it shows the picture, not what the network learned."
        )


def randomisation(
    model: Any,
    images: Any,
    name: str,
    target: TargetLike = None,
    *,
    wish: Wish | None = None,
    steps: int = 5,
    seed: int = 0,
    limits: Limits | None = None,
    progress: Progress = silent,
) -> Sanity:
    """Draw the weights anew from the last layer down in `steps` steps and compare the heat after each.

    The weights of each variable are shuffled copies of a Gaussian with its own mean and spread; the model gets its own
    weights back afterwards, also after an error. The class explained is the one the untouched model says.

    Args:
        model: a keras.Model.
        images: as the model takes them.
        name: method.
        target: as in `explain`.
        wish: as in `explain`.
        steps: how often the heat is looked at on the way down.
        seed: of the weights.
        limits: as in `explain`.
        progress: told how far it is.

    Raises:
        ModelError: no layer with weights.

    Source: Adebayo et al. 2018, Sanity Checks for Saliency Maps, section 3 (cascading randomisation).
    """
    first = explain(model, images, name, target, wish=wish, limits=limits)
    fixed = target if target is not None else [int(t.index or 0) for t in first.targets]
    layers = _weighted(model)
    if not layers:
        raise ModelError("expected a model with weights for the randomisation check, got none")
    kept = [(v, to_numpy(v.value).copy()) for _, layer in layers for v in layer.trainable_variables or layer.weights]
    rng = np.random.Generator(np.random.Philox(key=seed))
    groups = np.array_split(np.arange(len(layers)), min(steps, len(layers)))
    names, likeness = [], []
    try:
        for done, group in enumerate(groups, start=1):
            for i in group:
                _draw_anew(layers[i][1], rng)
            names.append(layers[group[-1]][0])
            heat = explain(model, images, name, fixed, wish=wish, limits=limits).heat
            likeness.append(float(np.mean([rank_correlation(np.abs(a), np.abs(b)) for a, b in zip(first.heat, heat)])))
            progress(f"weights of {name} drawn anew", done, len(groups))
    finally:
        for variable, value in kept:
            variable.assign(value)
    return Sanity(name, tuple(names), tuple(likeness), likeness[-1] < ALIKE)


def _weighted(model: Any) -> list[tuple[str, Any]]:
    """Layers with weights of their own, from the output to the input."""
    keras = load_keras()
    found = [
        (path, layer)
        for path, layer in operations_by_path(model).items()
        if isinstance(layer, keras.Layer) and layer.weights and not list(getattr(layer, "_layers", ()) or ())
    ]
    return found[::-1]


def _draw_anew(layer: Any, rng: np.random.Generator) -> None:
    for variable in layer.trainable_variables or layer.weights:
        value = to_numpy(variable.value)
        drawn = rng.normal(value.mean(), value.std(), value.shape)
        variable.assign(np.abs(drawn) if "variance" in variable.path else drawn)
