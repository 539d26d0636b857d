"""Which task a user's own model is for, by a stated rule; an error where the rule does not decide."""

from __future__ import annotations

from typing import Any

from convscope.errors import ModelError
from convscope.records.samples import Task
from convscope.tasks.outputs import last_activation, loss_name, model_units

_REGRESSION = (
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "huber",
    "log_cosh",
    "poisson",
)


def recover_task(model: Any) -> Task:
    """Read the task from the compiled loss, else from the last layer's function.

    Rule: a categorical loss, or softmax: classify. A binary loss, or sigmoid: classify with one output (two
    classes), multilabel with several. A squared, absolute, Huber, log-cosh or Poisson loss: regress.

    Raises:
        ModelError: neither decides; asks for task=.
    """
    units = model_units(model)
    loss, activation = loss_name(getattr(model, "loss", None)), last_activation(model)
    if "categorical" in loss or (not loss and activation == "softmax" and units > 1):
        return "classify"
    if loss.startswith("binary") or (not loss and activation == "sigmoid"):
        return "classify" if units == 1 else "multilabel"
    if loss in _REGRESSION and activation not in ("softmax", "sigmoid"):
        return "regress"
    raise ModelError(
        f"can't tell what {model.name} is for from its loss {loss or 'none'!r} and its last function "
        f"{activation or 'unknown'!r}; say task='classify', 'multilabel' or 'regress'"
    )
