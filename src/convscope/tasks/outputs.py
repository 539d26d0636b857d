"""What a model's outputs are (probabilities, logits or values), what its loss takes, and scores from them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import expit, log_softmax

from convscope.errors import ModelError
from convscope.records.card import OutputKind
from convscope.records.samples import Task

Encoding = Literal["one-hot", "index", "single", "values"]

_SQUASHING = ("softmax", "sigmoid")


@dataclass(frozen=True)
class Head:
    """The end of a model as training and prediction must know it.

    Attributes:
        task, classes: as in Samples.
        units: numbers per picture that the model puts out.
        kind: what they are.
        encoding: what the loss takes: "one-hot" (n, k), class "index" (n,), "single" (n, 1) of 0 and 1, or
            "values" (n, k).
    """

    task: Task
    classes: tuple[str, ...]
    units: int
    kind: OutputKind
    encoding: Encoding


def loss_name(loss: Any) -> str:
    """The snake_case name of a compiled loss: a string, a Loss object or a function; "" for none.

    Example:
        >>> loss_name("sparse_categorical_crossentropy")
        'sparse_categorical_crossentropy'
    """
    if loss is None:
        return ""
    if isinstance(loss, str):
        name = loss
    elif isinstance(loss, type):
        name = loss.__name__
    else:
        name = getattr(loss, "__name__", None) or type(loss).__name__
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return {"mse": "mean_squared_error", "mae": "mean_absolute_error"}.get(snake, snake)


def says_logits(loss: Any) -> bool:
    """Whether a Loss object was made with from_logits=True; names and functions say no."""
    config = loss.get_config() if hasattr(loss, "get_config") else {}
    return bool(config.get("from_logits", False))


def model_units(model: Any) -> int:
    """How many numbers per picture the model puts out.

    Raises:
        ModelError: several outputs, or outputs that are not one row per picture.
    """
    try:
        shape = model.output_shape
    except (AttributeError, ValueError) as error:
        raise ModelError(
            f"expected a built model, {model.name} has no known output; give its first layer an input shape, "
            "or call it once on a batch"
        ) from error
    if isinstance(shape, list | dict) or (isinstance(shape, tuple) and shape and isinstance(shape[0], tuple | list)):
        raise ModelError(f"expected a model with one output, {model.name} has {len(shape)}; train it with its own fit")
    if len(shape) != 2 or shape[-1] is None:
        raise ModelError(
            f"expected an output of shape (pictures, numbers), {model.name} has {shape}; end it with pooling or "
            "Flatten and a Dense layer"
        )
    return int(shape[-1])


def last_activation(model: Any) -> str:
    """Name of the function that makes the outputs ("softmax", "linear" ...); "" where the model hides it."""
    layer = model
    while getattr(layer, "layers", None):
        names = getattr(layer, "output_names", None)
        by_name = {inner.name: inner for inner in layer.layers}
        layer = by_name.get(names[0], layer.layers[-1]) if names and len(names) == 1 else layer.layers[-1]
    if type(layer).__name__ == "Softmax":
        return "softmax"
    function = getattr(layer, "activation", None)
    return str(getattr(function, "__name__", "")) if function is not None else ""


def output_kind(model: Any, task: Task) -> OutputKind:
    """Probabilities, logits or values.

    Rule: regress gives values. Else a last layer with softmax or sigmoid gives probabilities. Else the compiled loss
    decides: logits where it says from_logits=True, probabilities otherwise. Nothing is guessed beyond that.

    Raises:
        ModelError: neither the last layer nor a loss tells.
    """
    if task == "regress":
        return "values"
    if last_activation(model) in _SQUASHING:
        return "probabilities"
    loss = getattr(model, "loss", None)
    if loss is None:
        raise ModelError(
            f"expected outputs that say what they are, {model.name} ends without softmax or sigmoid and has no loss; "
            "end it with one, or compile it with a loss that says from_logits=True"
        )
    return "logits" if says_logits(loss) else "probabilities"


def encoding_for(task: Task, loss: Any, units: int, classes: tuple[str, ...]) -> Encoding:
    """What the loss takes as target.

    Rule for classify: a "sparse_..." loss takes the class index; one output for two classes takes 0 or 1; every
    other loss takes one-hot rows.

    Raises:
        ModelError: the number of outputs does not fit the number of classes or target columns.
    """
    k = len(classes)
    if task == "classify" and units == 1 and k == 2:
        return "single"
    if units != k:
        what = "target columns" if task == "regress" else "classes"
        raise ModelError(
            f"expected {k} outputs for {k} {what}, the model has {units}; change the units of its last layer to {k}"
        )
    if task != "classify":
        return "values"
    return "index" if loss_name(loss).startswith("sparse") else "one-hot"


def read_head(model: Any, task: Task, classes: tuple[str, ...], loss: Any = None) -> Head:
    """Read the end of a built model (see `output_kind` and `encoding_for` for the rules).

    `loss` is the one that a model will be compiled with; by default the compiled one counts.

    Raises:
        ModelError: several outputs, a wrong number of them, or no way to know what they are.
    """
    units = model_units(model)
    encoding = encoding_for(task, loss or getattr(model, "loss", None), units, classes)
    return Head(task, classes, units, output_kind(model, task), encoding)


def to_scores(outputs: np.ndarray, head: Head) -> np.ndarray:
    """Turn raw outputs into scores.

    Args:
        outputs: (n, units) as the model gives them.
        head: what they are.

    Returns:
        float32: classify (n, k) probabilities that sum to 1; multilabel (n, k) probabilities; regress (n, k) values.

    Raises:
        ModelError: numbers outside 0..1 that are declared to be probabilities, or not one row per picture.
    """
    raw = np.asarray(outputs, np.float64)
    if raw.ndim != 2 or raw.shape[1] != head.units:
        raise ModelError(f"expected outputs of shape (n, {head.units}), got {raw.shape}")
    task = head.task
    if task == "regress":
        return raw.astype(np.float32)
    single = task == "classify" and head.units == 1
    if head.kind == "logits":
        raw = expit(raw) if single or task == "multilabel" else np.exp(log_softmax(raw, axis=1))
    elif raw.size and not (np.nanmin(raw) >= -1e-6 and np.nanmax(raw) <= 1 + 1e-6):
        raise ModelError(
            f"expected probabilities in 0..1, got {np.nanmin(raw):.3g} to {np.nanmax(raw):.3g}; end the model with "
            "softmax or sigmoid, or compile it with a loss that says from_logits=True"
        )
    if single:
        raw = np.concatenate([1 - raw, raw], axis=1)
    if task == "classify":
        total = raw.sum(axis=1, keepdims=True)
        raw = np.divide(raw, total, out=np.full_like(raw, 1 / raw.shape[1]), where=total > 0)
    return raw.astype(np.float32)
