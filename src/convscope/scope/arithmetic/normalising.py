"""Normalisations: the statistics, and what they do to one number."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from convscope.records.arithmetic import Step
from convscope.scope.arithmetic.given import Factors, Given, Single, Worked, last_axes, picked, rule, single

FORMULA = "γ (x − μ) / √(σ² + ε) + β"


def _at(given: Given, variable: Any, place: int, default: float) -> float:
    return default if variable is None else float(given.weights(variable).reshape(-1)[place])


@single("layers.BatchNormalization")
def _batch(given: Given) -> Single:
    """Ioffe & Szegedy 2015, algorithm 2: at inference mean and variance are fixed."""
    layer = given.layer
    place = given.index[last_axes(given, layer.axis)[0]]
    facts = {
        "γ": _at(given, layer.gamma, place, 1.0),
        "β": _at(given, layer.beta, place, 0.0),
        "μ": _at(given, layer.moving_mean, place, 0.0),
        "σ²": _at(given, layer.moving_variance, place, 1.0),
        "ε": float(layer.epsilon),
    }
    return lambda value, magnitude: normalised("batch normalisation", facts, value, magnitude)


def normalised(name: str, facts: dict[str, float], value: float, magnitude: float, spread: float = 0.0) -> Step:
    """γ (x − μ) / √(σ² + ε) + β as a step.

    `spread` is how much rounding of the variance counts, relative to the eps of the type.
    """
    factor = facts["γ"] / np.sqrt(facts["σ²"] + facts["ε"])
    after = (value - facts["μ"]) * factor + facts["β"]
    size = (magnitude + abs(facts["μ"])) * abs(factor) + abs(facts["β"]) + spread * abs(after - facts["β"])
    return Step(name, FORMULA, value, float(after), float(size), facts)


@dataclass(frozen=True, eq=False)
class Group:
    """The numbers that share statistics with the chosen one."""

    factors: Factors
    chosen: float

    def facts(self, gamma: float, beta: float, epsilon: float) -> dict[str, float]:
        """Mean and variance over the group, with the learned numbers."""
        values = self.factors.patch
        return {"γ": gamma, "β": beta, "μ": float(values.mean()), "σ²": float(values.var()), "ε": epsilon}

    def spread(self, epsilon: float) -> float:
        """Relative rounding of 1/√(σ² + ε) when the variance is a difference of two means."""
        values = self.factors.patch
        return float(0.5 * (values**2).mean() / (values.var() + epsilon))


def _group(given: Given, places: list[tuple[int, ...]]) -> Group:
    return Group(picked(given, places), float(given.inputs[0][given.index]))


def _along(given: Given, axes: tuple[int, ...]) -> list[tuple[int, ...]]:
    shape = given.inputs[0].shape
    return list(product(*(range(n) if a in axes else [given.index[a]] for a, n in enumerate(shape))))


def _worked(given: Given, group: Group, step: Step) -> Worked:
    facts = {k: v for k, v in step.facts.items() if k in ("μ", "σ²")}
    value = group.chosen
    return Worked("one number of a group", ("factor",), group.factors, value, abs(value), steps=(step,), facts=facts)


@rule("layers.LayerNormalization")
def _layer(given: Given) -> Worked:
    """Ba et al. 2016: statistics over the layer's own axes, anew for each picture and place."""
    axes = last_axes(given, given.layer.axis)
    group = _group(given, _along(given, axes))
    gamma, beta = (_learned(given, variable, axes) for variable in (given.layer.gamma, given.layer.beta))
    epsilon = float(given.layer.epsilon)
    facts = group.facts(1.0 if gamma is None else gamma, beta or 0.0, epsilon)
    step = normalised("layer normalisation", facts, group.chosen, _size(group), group.spread(epsilon))
    return _worked(given, group, step)


def _size(group: Group) -> float:
    return abs(group.chosen) + float(np.abs(group.factors.patch).mean())


def _learned(given: Given, variable: Any, axes: tuple[int, ...]) -> float | None:
    """The learned number of this place; the variable has the normalised axes in the model's own order."""
    if variable is None:
        return None
    array = given.weights(variable)
    rank = len(given.index)
    first = given.call.channel_axis == 0 and rank > 1 and rank - 1 in axes
    order = [rank - 1, *(a for a in axes if a != rank - 1)] if first else list(axes)
    return float(array[tuple(given.index[a] for a in order)])


@rule("layers.GroupNormalization")
def _groups(given: Given) -> Worked:
    """Wu & He 2018: statistics over a group of channels and all places."""
    shape = given.inputs[0].shape
    width = shape[-1] // given.layer.groups
    first = given.channel // width * width
    group = _group(given, list(product(*(range(n) for n in shape[:-1]), range(first, first + width))))
    epsilon = float(given.layer.epsilon)
    gamma, beta = _at(given, given.layer.gamma, given.channel, 1.0), _at(given, given.layer.beta, given.channel, 0.0)
    facts = group.facts(gamma, beta, epsilon)
    return _worked(
        given, group, normalised("group normalisation", facts, group.chosen, _size(group), group.spread(epsilon))
    )


@rule("layers.RMSNormalization")
def _root_mean_square(given: Given) -> Worked:
    """Zhang & Sennrich 2019: divided by the root of the mean square."""
    axes = last_axes(given, given.layer.axis)
    group = _group(given, _along(given, axes))
    scale = _learned(given, given.layer.scale, axes)
    facts = {
        "γ": 1.0 if scale is None else scale,
        "mean x²": float((group.factors.patch**2).mean()),
        "ε": float(given.layer.epsilon),
    }
    after = group.chosen * facts["γ"] / np.sqrt(facts["mean x²"] + facts["ε"])
    step = Step("RMS normalisation", "γ x / √(mean x² + ε)", group.chosen, float(after), 2 * abs(after), facts)
    return _worked(given, group, step)


@single("layers.Rescaling")
def _rescaling(given: Given) -> Single:
    scale = _constant(given, given.layer.scale)
    offset = _constant(given, given.layer.offset)

    def step(value: float, magnitude: float) -> Step:
        after = value * scale + offset
        size = magnitude * abs(scale) + abs(offset)
        return Step("rescaling", "x s + o", value, after, size, {"s": scale, "o": offset})

    return step


def _constant(given: Given, setting: Any) -> float:
    array = np.asarray(setting, np.float64)
    return float(array) if array.ndim == 0 else float(array.reshape(-1)[given.channel])


@single("layers.Normalization")
def _standardised(given: Given) -> Single:
    """(x − μ) / max(σ, ε) with statistics found by adapt()."""
    layer = given.layer
    mean, variance = (
        np.broadcast_to(given.weights(v), (1, *given.inputs[0].shape)) for v in (layer.mean, layer.variance)
    )
    average, deviation = float(mean[0][given.index]), float(np.sqrt(variance[0][given.index]))
    divisor = max(deviation, 1e-7)

    def step(value: float, magnitude: float) -> Step:
        facts = {"μ": average, "σ": deviation}
        size = magnitude + abs(average)
        if layer.invert:
            return Step("normalisation undone", "x σ + μ", value, value * divisor + average, size * divisor, facts)
        return Step("normalisation", "(x − μ) / σ", value, (value - average) / divisor, size / divisor, facts)

    return step
