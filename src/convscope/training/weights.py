"""A model's and an optimizer's variables to NumPy and back, in the order Keras made them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convscope.backend.tensors import to_numpy
from convscope.errors import RunError


def read_variables(variables: Sequence[Any]) -> list[np.ndarray]:
    """Copies of the values, which further training leaves alone."""
    return [np.array(to_numpy(v.value)) for v in variables]


def write_variables(variables: Sequence[Any], values: Sequence[np.ndarray], what: str) -> None:
    """Set all values.

    Raises:
        RunError: another number or shape of variables; nothing is set then.
    """
    if len(variables) != len(values):
        raise RunError(
            f"expected {len(variables)} arrays for the {what}, got {len(values)}; the network is another one"
        )
    # a scalar that went through a contiguous copy on its way to a file comes back as a vector of one
    values = [
        np.reshape(v, ()) if tuple(x.shape) == () and np.shape(v) == (1,) else v for x, v in zip(variables, values)
    ]
    for variable, value in zip(variables, values, strict=True):
        if tuple(variable.shape) != np.shape(value):
            raise RunError(
                f"expected shape {tuple(variable.shape)} for {variable.path} of the {what}, got {np.shape(value)}; "
                "it is another network"
            )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def own_copies(variables: Sequence[Any]) -> None:
    """Give each variable memory of its own.

    On JAX an averaged weight that Keras copied into the model is the optimizer's own array; the next step donates it
    and leaves the optimizer with a deleted one.
    """
    write_variables(variables, read_variables(variables), "weights")
