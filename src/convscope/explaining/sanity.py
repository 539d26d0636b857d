"""Does an explanation depend on what the network learned? Weights are drawn anew, or labels were shuffled.

A method whose heat stays the same when the network's weights are random shows the picture, not the network.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.errors import ModelError
from convscope.explaining.agreement import rank_correlation
from convscope.explaining.engine import Limits, Wish, explain
from convscope.records.attribution import Attribution
from convscope.records.judgement import Sanity, depends_on_weights
from convscope.records.progress import Progress, silent
from convscope.scope.paths import operations_by_path
from convscope.scope.tap import Probe
from convscope.scope.target import TargetLike


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

    A method passes that changes both on the way (mean of the steps) and at the end; see `depends_on_weights`.

    The weights of each variable are shuffled copies of a Gaussian with its own mean and spread; the model gets its own
    weights back afterwards, also after an error. The class explained is the one the untouched model says.

    Args:
        model: a keras.Model, or a Probe, whose compiled functions then serve each step.
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
    probe = model if isinstance(model, Probe) else Probe(model)
    first = explain(probe, images, name, target, wish=wish, limits=limits)
    fixed = _fixed(target, first)
    layers = _weighted(probe.model)
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
            heat = explain(probe, images, name, fixed, wish=wish, limits=limits).heat
            likeness.append(_likeness(first.heat, heat))
            progress(f"weights of {name} drawn anew", done, len(groups))
    finally:
        for variable, value in kept:
            variable.assign(value)
    passed = depends_on_weights(likeness)
    return Sanity(name, tuple(names), tuple(likeness), passed, unrelated=_unrelated(first.heat))


def label_check(
    model: Any,
    shuffled: Any,
    images: Any,
    name: str,
    target: TargetLike = None,
    *,
    wish: Wish | None = None,
    limits: Limits | None = None,
    note: str = "",
) -> Sanity:
    """Compare the heat of a model with that of one that was trained on shuffled labels.

    Args:
        model: what is judged.
        shuffled: the same network after a training on shuffled labels; see `learned_shuffled_labels`.
        images: as both models take them.
        name: method.
        target: as in `explain`; None for the class that `model` says.
        wish: as in `explain`.
        limits: as in `explain`.
        note: how the second model came to be.

    Source: Adebayo et al. 2018, Sanity Checks for Saliency Maps, section 4 (data randomisation).
    """
    first = explain(model, images, name, target, wish=wish, limits=limits)
    other = explain(shuffled, images, name, _fixed(target, first), wish=wish, limits=limits)
    likeness = _likeness(first.heat, other.heat)
    return Sanity(name, (), (likeness,), depends_on_weights((likeness,)), "labels", note)


def _fixed(target: TargetLike, first: Attribution) -> TargetLike:
    return target if target is not None else [int(t.index or 0) for t in first.targets]


def _likeness(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.mean([rank_correlation(np.abs(a), np.abs(b)) for a, b in zip(one, other)]))


def _unrelated(heat: np.ndarray) -> float | None:
    """Likeness of each picture's heat with the next one's: what heat has in common whatever the picture."""
    return _likeness(heat, np.roll(heat, 1, axis=0)) if len(heat) > 1 else None


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
