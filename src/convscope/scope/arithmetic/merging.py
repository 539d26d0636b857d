"""Layers that join several tensors place by place, and keras.ops that do (`a + b`, `a * 2`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convscope.errors import ModelError
from convscope.scope.arithmetic.given import Factors, Given, Worked, last_axes, picked, rule


def _places(given: Given, operands: Sequence[tuple[int, np.ndarray]]) -> tuple[Factors, np.ndarray]:
    """The operands' values at this place, broadcast; plain numbers are factors without a source."""
    values, positions, which = [], [], []
    rank = len(given.index)
    for number, array in operands:
        place = given.index[rank - array.ndim :]
        place = tuple(0 if n == 1 else i for i, n in zip(place, array.shape))
        values.append(float(array[place]))
        positions.append((*(0,) * (rank - len(place)), *place))
        which.append(number)
    sources = np.array(which, np.int64)
    factors = Factors(np.array(values), sources < 0, sources, np.array(positions, np.int64))
    return factors, np.array(values)


def _joined(given: Given, kind: str) -> Worked:
    """One value of each operand, joined as `kind` says."""
    factors, values = _places(given, given.operands())
    size = float(np.abs(values).sum())
    if kind in ("Add", "Average"):
        share = 1.0 / len(values) if kind == "Average" else 1.0
        return Worked(
            "mean" if kind == "Average" else "sum", ("input",), factors, float(values.sum() * share), size * share
        )
    if kind in ("Maximum", "Minimum"):
        value = float(values.max() if kind == "Maximum" else values.min())
        return Worked(kind.lower(), ("input",), factors, value, abs(value))
    if kind == "Multiply":
        value = float(values.prod())
        return Worked("product", ("input",), factors, value, abs(value) * (len(values) - 1))
    if kind == "Subtract":
        return Worked("difference", ("input",), factors, float(values[0] - values[1:].sum()), size)
    value = float(values[0] / values[1])
    return Worked("quotient", ("input",), factors, value, abs(value))


MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")


@rule(*(f"layers.{name}" for name in MERGES))
def _merged(given: Given) -> Worked:
    return _joined(given, given.call.family.split(".")[1] if given.call.family else "")


@rule(*(f"ops.{name}" for name in (*MERGES, "Divide", "TrueDivide")))
def _operation(given: Given) -> Worked:
    return _joined(given, type(given.layer).__name__)


@rule("layers.Concatenate", "ops.Concatenate")
def _concatenated(given: Given) -> Worked:
    """The value of whichever input this place belongs to."""
    axis = last_axes(given, given.layer.axis)[0]
    place = given.index[axis]
    for number, array in enumerate(given.inputs):
        if place < array.shape[axis]:
            found = (*given.index[:axis], place, *given.index[axis + 1 :])
            factors = picked(given, [found], [number])
            value = float(factors.patch[0])
            return Worked("copy", ("factor",), factors, value, abs(value))
        place -= array.shape[axis]
    raise ModelError(f"expected a place inside {given.call.path}, got {given.index}")
