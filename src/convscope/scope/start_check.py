"""Does a network start as it should: the variance of each kernel beside what He and Glorot ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.backend.tensors import to_numpy
from convscope.scope.paths import operations_by_path

_RELU_LIKE = ("relu", "leaky_relu", "elu", "gelu", "silu", "selu", "relu6")
_LOW, _HIGH = 0.5, 2.0  # of what a rule asks for


@dataclass(frozen=True)
class StartCheck:
    """A kernel before training: its variance beside what He and Glorot initialisation ask for.

    `expected` is the one that suits the layer's activation: `rule` "he" for ReLU and its kin, "glorot" for another
    one; where an activation follows as a layer of its own, the nearer of the two. `is_fine` when the variance lies
    within 0.5..2 times of it.
    """

    layer: str
    variance: float
    expected: float
    rule: str
    is_fine: bool


def check_start(model: Any) -> tuple[StartCheck, ...]:
    """Compare each kernel's variance with 2 / fan_in (He et al. 2015) or 2 / (fan_in + fan_out) (Glorot 2010)."""
    checks = []
    for path, layer in operations_by_path(model).items():
        variable: Any = getattr(layer, "kernel", None)
        shape = tuple(getattr(variable, "shape", ()))
        if len(shape) < 2 or not hasattr(layer, "activation"):
            continue
        area = int(np.prod(shape[:-2]))
        fan_in, fan_out = area * shape[-2], area * shape[-1]
        rules = {"he": 2 / fan_in, "glorot": 2 / (fan_in + fan_out)}
        variance = float(to_numpy(variable.value).astype(np.float64).var())
        rule = _rule(getattr(layer.activation, "__name__", ""), variance, rules)
        fine = _LOW <= variance / rules[rule] <= _HIGH
        checks.append(StartCheck(path, variance, rules[rule], rule, fine))
    return tuple(checks)


def _rule(activation: str, variance: float, rules: dict[str, float]) -> str:
    if activation != "linear":
        return "he" if activation in _RELU_LIKE else "glorot"
    return min(rules, key=lambda name: abs(np.log(max(variance, 1e-300) / rules[name])))
