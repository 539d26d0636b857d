"""Activation functions by hand: what each does to a number, as a formula and in float64.

Formulas and default parameters are those of the Keras documentation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import pi
from typing import Any

import numpy as np
from scipy.special import erf, expit

from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.errors import ModelError
from convscope.records.arithmetic import Step
from convscope.scope.arithmetic.given import Given, Single, Worked, last_axes, one_number, picked, rule, single

keras = load_keras()

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Curve:
    """A function of one number with its formula in symbols and the steepest slope it has anywhere."""

    name: str
    formula: str
    function: Function
    steepest: float = 1.0


def _where(condition: Any, yes: Any, no: Any) -> np.ndarray:
    return np.where(condition, yes, no)


def _gelu_tanh(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / pi) * (x + 0.044715 * x**3)))


def _gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(x, 0)


SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805

CURVES: dict[str, Curve] = {
    "linear": Curve("linear", "x", lambda x: x),
    "relu": Curve("ReLU", "max(x, 0)", lambda x: np.maximum(x, 0)),
    "relu6": Curve("ReLU6", "min(max(x, 0), 6)", lambda x: np.clip(x, 0, 6)),
    "leaky_relu": Curve("leaky ReLU", "x if x > 0 else 0.2 x", lambda x: _where(x > 0, x, 0.2 * x)),
    "sigmoid": Curve("sigmoid", "1 / (1 + e⁻ˣ)", expit),
    "tanh": Curve("tanh", "tanh(x)", np.tanh),
    "elu": Curve("ELU", "x if x > 0 else eˣ − 1", lambda x: _where(x > 0, x, np.expm1(np.minimum(x, 0)))),
    "celu": Curve("CELU", "x if x > 0 else eˣ − 1", lambda x: _where(x > 0, x, np.expm1(np.minimum(x, 0)))),
    "selu": Curve(
        "SELU",
        "1.0507 (x if x > 0 else 1.6733 (eˣ − 1))",
        lambda x: SELU_SCALE * _where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0))),
        1.7581,
    ),
    "gelu": Curve("GELU", "x Φ(x)", _gelu, 1.13),
    "gelu_tanh": Curve("GELU", "x (1 + tanh(√(2/π) (x + 0.0447 x³))) / 2", _gelu_tanh, 1.13),
    "silu": Curve("SiLU", "x / (1 + e⁻ˣ)", lambda x: x * expit(x), 1.1),
    "softplus": Curve("softplus", "ln(1 + eˣ)", _softplus),
    "softsign": Curve("softsign", "x / (1 + |x|)", lambda x: x / (1 + np.abs(x))),
    "hard_sigmoid": Curve("hard sigmoid", "min(max(x/6 + 1/2, 0), 1)", lambda x: np.clip(x / 6 + 0.5, 0, 1)),
    "hard_silu": Curve("hard SiLU", "x min(max(x/6 + 1/2, 0), 1)", lambda x: x * np.clip(x / 6 + 0.5, 0, 1), 1.5),
    "hard_tanh": Curve("hard tanh", "min(max(x, −1), 1)", lambda x: np.clip(x, -1, 1)),
    "log_sigmoid": Curve("log sigmoid", "−ln(1 + e⁻ˣ)", lambda x: -_softplus(-x)),
    "mish": Curve("Mish", "x tanh(ln(1 + eˣ))", lambda x: x * np.tanh(_softplus(x)), 1.09),
    "exponential": Curve("exponential", "eˣ", np.exp, np.inf),
    "tanh_shrink": Curve("tanh shrink", "x − tanh(x)", lambda x: x - np.tanh(x)),
    "hard_shrink": Curve("hard shrink", "x if |x| > 1/2 else 0", lambda x: _where(np.abs(x) > 0.5, x, 0.0)),
    "soft_shrink": Curve(
        "soft shrink", "sign(x) max(|x| − 1/2, 0)", lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0)
    ),
    "squareplus": Curve("squareplus", "(x + √(x² + 4)) / 2", lambda x: (x + np.sqrt(x * x + 4)) / 2),
}


def applied(curve: Curve, value: float, magnitude: float, *, layer: str = "") -> Step:
    """A curve as a step; rounding grows by its slope at the value, and never below the result's own."""
    with np.errstate(over="ignore"):
        after = float(curve.function(np.array(value)))
    slope = abs(after) if np.isinf(curve.steepest) else curve.steepest
    return Step(curve.name, curve.formula, value, after, max(magnitude * max(slope, 1.0), abs(after)), layer=layer)


def curve_of(function: Any) -> Curve | None:
    """The curve of a Keras activation; None for a softmax or somebody's own function."""
    known = {getattr(keras.activations, name, None): curve for name, curve in CURVES.items()}
    return known.get(function)


def activated(given: Given, function: Any, number: float, magnitude: float, vector: Any) -> tuple[Step, ...]:
    """The layer's own activation as steps: none for a linear one.

    Args:
        given: the call.
        function: the layer's `activation`.
        number: the value before it.
        magnitude: the absolute terms behind it.
        vector: () -> (values, magnitudes) of all channels at this place, asked for only where they are needed.
    """
    if function is None or function is keras.activations.linear:
        return ()
    if isinstance(function, keras.layers.Layer):
        inner = _layer_curve(function)
        if inner is not None:
            return (applied(inner, number, magnitude),)
    curve = curve_of(function)
    if curve is not None:
        return (applied(curve, number, magnitude),)
    values, sizes = vector()
    if function in (keras.activations.softmax, keras.activations.log_softmax):
        log = function is keras.activations.log_softmax
        return (softmax_step(values, float(np.max(sizes)), given.channel, log=log),)
    return (_own(given, function, values, float(np.max(sizes))),)


def softmax_step(values: np.ndarray, magnitude: float, place: int, *, log: bool = False) -> Step:
    """eˣ over the sum of all eˣ, and what rounding of the numbers before it does to the share."""
    highest = float(values.max())
    powers = np.exp(values - highest)
    share = float(powers[place] / powers.sum())
    facts = {"largest x": highest, "sum of e^(x − largest)": float(powers.sum())}
    before = float(values[place])
    if log:
        after = before - highest - float(np.log(powers.sum()))
        return Step("log softmax", "x − ln Σ eˣ", before, after, abs(after) + 2 * magnitude, facts)
    return Step("softmax", "eˣ / Σ eˣ", before, share, share * (1 + 2 * magnitude), facts)


def _own(given: Given, function: Any, values: np.ndarray, magnitude: float) -> Step:
    """Somebody's own activation: no formula is known, so the back end applies it to the numbers worked out by hand."""
    result = to_numpy(function(keras.ops.convert_to_tensor(values[None], dtype="float32")))[0]
    name = getattr(function, "__name__", type(function).__name__)
    after = float(result[given.channel])
    return Step(
        name,
        "your own function, applied by the back end",
        float(values[given.channel]),
        after,
        max(abs(after), 4 * magnitude),
    )


def _layer_curve(layer: Any) -> Curve | None:
    """An activation layer that treats each number alike."""
    if type(layer) is keras.layers.ReLU:
        return _relu_curve(layer)
    if type(layer) is keras.layers.LeakyReLU:
        slope = float(layer.negative_slope)
        return Curve("leaky ReLU", f"x if x > 0 else {slope:g} x", lambda x: _where(x > 0, x, slope * x), max(1, slope))
    if type(layer) is keras.layers.ELU:
        alpha = float(layer.alpha)
        return Curve(
            "ELU",
            f"x if x > 0 else {alpha:g} (eˣ − 1)",
            lambda x: _where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
            max(1.0, alpha),
        )
    return None


def _relu_curve(layer: Any) -> Curve:
    slope, threshold = float(layer.negative_slope), float(layer.threshold)
    top = np.inf if layer.max_value is None else float(layer.max_value)
    below = f"{slope:g} (x − {threshold:g})" if slope else "0"
    formula = f"x if x ≥ {threshold:g} else {below}" if slope or threshold else "max(x, 0)"
    formula = f"min({formula}, {top:g})" if np.isfinite(top) else formula

    def function(x: np.ndarray) -> np.ndarray:
        return _where(x >= threshold, np.minimum(x, top), slope * (x - threshold))

    return Curve("ReLU", formula, function, max(1.0, slope))


@single("layers.ReLU", "layers.LeakyReLU", "layers.ELU")
def _activation_layer(given: Given) -> Single:
    curve = _layer_curve(given.layer)
    assert curve is not None
    return lambda value, magnitude: applied(curve, value, magnitude)


@single("layers.PReLU")
def _prelu(given: Given) -> Single:
    """Each value has its own learned slope below zero, or shares it along some axes."""
    alpha = given.weights(given.layer.alpha)
    if given.call.channel_axis == 0 and alpha.ndim > 1:
        alpha = np.moveaxis(alpha, 0, -1)
    slope = float(alpha[tuple(i if n > 1 else 0 for i, n in zip(given.index, alpha.shape))])
    curve = Curve("PReLU", "x if x > 0 else α x", lambda x: _where(x > 0, x, slope * x), max(1.0, abs(slope)))
    return lambda value, magnitude: replace(applied(curve, value, magnitude), facts={"α": slope})


@single("layers.Activation")
def _activation(given: Given) -> Single | None:
    function = given.layer.activation
    inner = _layer_curve(function) if isinstance(function, keras.layers.Layer) else curve_of(function)
    return None if inner is None else lambda value, magnitude: applied(inner, value, magnitude)


@rule("layers.Activation")
def _activation_rule(given: Given) -> Worked:
    """A curve of one number where it is one, else all channels of the place together."""
    alone = _activation(given)
    if alone is not None:
        return one_number(given, alone)
    channels = range(given.inputs[0].shape[-1])
    factors = picked(given, [(*given.at, c) for c in channels])
    value = float(factors.patch[given.channel])
    steps = activated(given, given.layer.activation, value, abs(value), lambda: (factors.patch, np.abs(factors.patch)))
    return Worked("one number among its channels", ("channel",), factors, value, abs(value), steps=steps)


@rule("layers.Softmax", "ops.Softmax")
def _softmax(given: Given) -> Worked:
    """Shares along one axis."""
    rank = len(given.index)
    axis = given.layer.axis
    if not isinstance(axis, int):
        raise ModelError(f"expected a softmax along one axis, got axes {axis} at {given.call.path}")
    along = last_axes(given, axis)[0]
    length = given.inputs[0].shape[along]
    places = [tuple(i if a == along else given.index[a] for a in range(rank)) for i in range(length)]
    factors = picked(given, places)
    value = float(factors.patch[given.index[along]])
    step = softmax_step(factors.patch, float(np.abs(factors.patch).max()), given.index[along])
    return Worked("one number among others", ("place along the axis",), factors, value, abs(value), steps=(step,))


OPERATIONS = {
    "Relu": "relu",
    "Relu6": "relu6",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Elu": "elu",
    "Selu": "selu",
    "Silu": "silu",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "HardSigmoid": "hard_sigmoid",
    "HardSilu": "hard_silu",
    "HardTanh": "hard_tanh",
    "LogSigmoid": "log_sigmoid",
    "Mish": "mish",
    "Exp": "exponential",
    "Squareplus": "squareplus",
}
PLAIN: dict[str, Curve] = {
    "Square": Curve("square", "x²", np.square, np.inf),
    "Sqrt": Curve("square root", "√x", np.sqrt),
    "Absolute": Curve("absolute value", "|x|", np.abs),
    "Abs": Curve("absolute value", "|x|", np.abs),
    "Negative": Curve("negative", "−x", np.negative),
    "Gelu": CURVES["gelu"],
}


@single(*(f"ops.{name}" for name in (*OPERATIONS, *PLAIN)))
def _operation(given: Given) -> Single:
    """keras.ops functions of one tensor with their default parameters."""
    kind = type(given.layer).__name__
    curve = PLAIN.get(kind) or CURVES[OPERATIONS[kind]]
    if kind == "Gelu" and given.layer.approximate:
        curve = CURVES["gelu_tanh"]
    if kind == "Elu" and given.layer.alpha != 1.0:
        raise ModelError(f"expected ELU with alpha 1, got {given.layer.alpha} at {given.call.path}; use layers.ELU")
    return lambda value, magnitude: applied(curve, value, magnitude)
