"""A model with some of its numbers changed by hand, or drawn anew: to see what follows. Nothing saved is touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.errors import ModelError, PlanError
from convscope.records.kernel_value import KernelValue
from convscope.registry import nearest
from convscope.scope.paths import operations_by_path, select

__all__ = ["INITIALIZERS", "KernelValue", "change_kernels", "draw_anew", "kernel_of"]

INITIALIZERS = ("he_normal", "he_uniform", "glorot_normal", "glorot_uniform", "lecun_normal", "small", "large", "zeros")
SMALL, LARGE = 0.01, 1.0  # standard deviations of "small" and "large": too quiet and too loud for deep networks


def change_kernels(model: Any, values: Sequence[KernelValue]) -> None:
    """Set single numbers of kernels in this model, in memory.

    Raises:
        UnknownLayerError: no such layer. ModelError: no such filter or place, a kind that can't be edited, or a value
            that is no finite number.
    """
    by_path = operations_by_path(model)
    for one in values:
        name = select(one.layer, by_path, by_path)[0]
        variable = kernel_of(by_path[name.split("#")[0]])
        if variable is None:
            raise ModelError(f"expected a convolution or dense layer to edit, got {name!r}; choose another one")
        kernel = to_numpy(variable.value).astype(np.float32)
        table = kernel.reshape(_places(kernel.shape, by_path[name.split("#")[0]]))
        if not 0 <= one.channel < table.shape[1] or not 0 <= one.cell < table.shape[0]:
            raise ModelError(
                f"expected a filter of {name} from 0 to {table.shape[1] - 1} and a place from 0 to "
                f"{table.shape[0] - 1}, got {one.channel} and {one.cell}"
            )
        if not np.isfinite(one.value):
            raise ModelError(f"expected a finite number for {name}, got {one.value}")
        table[one.cell, one.channel] = one.value
        variable.assign(table.reshape(kernel.shape))


def kernel_of(layer: Any) -> Any:
    """The kernel variable whose numbers stand in the order of `Arithmetic.kernel`; None for other layers."""
    kind = type(layer).__name__
    if "Transpose" in kind or "Separable" in kind or hasattr(layer, "pointwise_kernel"):
        return None
    found = getattr(layer, "kernel", None)
    shape = getattr(found, "shape", ())
    return found if 2 <= len(shape) <= 5 and hasattr(found, "assign") else None


def _places(shape: Sequence[int], layer: Any) -> tuple[int, int]:
    """(places in a filter, filters) of a kernel's shape: depthwise kernels end in (input, multiplier)."""
    last = int(np.prod(shape[-2:])) if "Depthwise" in type(layer).__name__ else int(shape[-1])
    return int(np.prod(shape)) // last, last


def draw_anew(model: Any, initializer: str, *, seed: int = 0) -> None:
    """Draw all kernels of this model anew, in memory; biases become 0, batch normalisation becomes the identity.

    Args:
        model: any built Keras model.
        initializer: one of INITIALIZERS; "small" and "large" are normal with standard deviation 0.01 and 1.
        seed: of the draws; each kernel takes the next one.

    Raises:
        PlanError: no such initializer.
    """
    if initializer not in INITIALIZERS:
        raise PlanError(f"unknown initializer {initializer!r}; {nearest(initializer, INITIALIZERS)}")
    keras = load_keras()
    for number, variable in enumerate(model.weights):
        name, shape = variable.name, tuple(variable.shape)
        if "kernel" in name and len(shape) >= 2:
            variable.assign(_initializer(keras, initializer, seed + number)(shape, dtype=variable.dtype))
        elif name in ("gamma", "moving_variance"):
            variable.assign(np.ones(shape, np.float32))
        elif name in ("bias", "beta", "moving_mean"):
            variable.assign(np.zeros(shape, np.float32))


def _initializer(keras: Any, name: str, seed: int) -> Any:
    if name in ("small", "large"):
        return keras.initializers.RandomNormal(stddev=SMALL if name == "small" else LARGE, seed=seed)
    if name == "zeros":
        return keras.initializers.Zeros()
    return keras.initializers.get({"class_name": name, "config": {"seed": seed}})
