"""A model with some of its numbers changed by hand, or drawn anew: to see what follows. Nothing saved is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from convscope.actions.epochs import model_of_epoch
from convscope.actions.opening import open_any
from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.bundle.saving import save_bundle
from convscope.draw.numbers import counted
from convscope.errors import BundleError, ModelError, PlanError
from convscope.records.kernel_value import KernelValue, Part
from convscope.registry import nearest
from convscope.scope.paths import operations_by_path, select

__all__ = ["INITIALIZERS", "KernelValue", "change_kernels", "draw_anew", "numbers_of", "write_changed"]

INITIALIZERS = ("he_normal", "he_uniform", "glorot_normal", "glorot_uniform", "lecun_normal", "small", "large", "zeros")
# what can be edited, and the name of the layer's variable
PARTS: dict[Part, str] = {
    "kernel": "kernel",
    "bias": "bias",
    "depthwise": "depthwise_kernel",
    "pointwise": "pointwise_kernel",
}
SMALL, LARGE = 0.01, 1.0  # standard deviations of "small" and "large": too quiet and too loud for deep networks


@dataclass(frozen=True)
class Numbers:
    """One weight as a table of places by filters.

    Attributes:
        variable: the Keras variable.
        axes: its axes in the order in which places are counted, the filters last.
        filters: how many.
    """

    variable: Any
    axes: tuple[int, ...]
    filters: int

    def read(self) -> np.ndarray:
        """A float32 copy of shape (places, filters)."""
        values = to_numpy(self.variable.value).astype(np.float32)
        return np.array(values.transpose(self.axes).reshape(-1, self.filters))

    def write(self, table: np.ndarray) -> None:
        """Set all numbers from a table as `read` gives it."""
        shape = [self.variable.shape[a] for a in self.axes]
        self.variable.assign(table.reshape(shape).transpose(np.argsort(self.axes)))


def change_kernels(model: Any, values: Sequence[KernelValue]) -> None:
    """Set single numbers of kernels and biases in this model, in memory.

    Raises:
        UnknownLayerError: no such layer. ModelError: no such filter or place, a kind that can't be edited, a part that
            the layer has not, or a value that is no finite number.
    """
    by_path = operations_by_path(model)
    tables: dict[tuple[str, str], tuple[Numbers, np.ndarray]] = {}
    for one in values:
        name = select(one.layer, by_path, by_path)[0].split("#")[0]
        if (name, one.part) not in tables:
            numbers = numbers_of(by_path[name], one.part)
            if numbers is None:
                raise ModelError(_no_numbers(name, by_path[name], one.part))
            tables[name, one.part] = numbers, numbers.read()
        _set(tables[name, one.part][1], name, one)
    for numbers, table in tables.values():
        numbers.write(table)


def _set(table: np.ndarray, name: str, one: KernelValue) -> None:
    if not 0 <= one.channel < table.shape[1] or not 0 <= one.cell < table.shape[0]:
        raise ModelError(
            f"expected a filter of {name} from 0 to {table.shape[1] - 1} and a place from 0 to "
            f"{table.shape[0] - 1}, got {one.channel} and {one.cell}"
        )
    if not np.isfinite(one.value):
        raise ModelError(f"expected a finite number for {name}, got {one.value}")
    table[one.cell, one.channel] = one.value


def _no_numbers(name: str, layer: Any, part: str) -> str:
    has = [known for known in PARTS if numbers_of(layer, known) is not None]
    if has:
        return f"expected {' or '.join(has)} of {name}, which is all that it has to edit; got {part!r}"
    return f"expected a convolution or dense layer to edit, got {name!r}; choose another one"


def numbers_of(layer: Any, part: Part = "kernel") -> Numbers | None:
    """One weight of a layer as a table; None where the layer has none that can be edited."""
    variable = getattr(layer, PARTS[part], None)
    shape = tuple(getattr(variable, "shape", ()))
    if not hasattr(variable, "assign"):
        return None
    if part == "bias":
        return Numbers(variable, (0,), shape[0]) if len(shape) == 1 else None
    if not 2 <= len(shape) <= 5:
        return None
    axes = tuple(range(len(shape)))
    if "Transpose" in type(layer).__name__:  # held as (rows, columns, filters, input channels)
        return Numbers(variable, (*axes[:-2], axes[-1], axes[-2]), shape[-2])
    by_input = part == "depthwise" or "Depthwise" in type(layer).__name__  # (..., input channels, multiplier)
    return Numbers(variable, axes, shape[-2] * shape[-1] if by_input else shape[-1])


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


def write_changed(
    given: str | Path, out: Path, values: Sequence[KernelValue] = (), *, initializer: str = "", epoch: int | None = None
) -> Path:
    """Save a changed copy as a bundle of its own, which everything that opens a model opens.

    Args:
        given: a run, its name, "last", or a bundle.
        out: the folder to write; it must not be there.
        values: numbers to set, after the kernels were drawn.
        initializer: one of INITIALIZERS to draw all kernels by; "" leaves them.
        epoch: of a run's kept checkpoints; None for the finished model.

    Raises:
        PlanError: nothing to change, `out` is there already, or no such initializer. BundleError: a bare .keras file,
            which says nothing of its pictures. Else as `open_any`, `model_of_epoch` and `change_kernels`.
    """
    if not values and not initializer and epoch is None:
        raise PlanError("expected something to change; say --set, --draw or --epoch")
    if out.exists():
        raise PlanError(f"{out}: expected a new folder to write to, found one that is there; choose another name")
    opened = open_any(given) if epoch is None else model_of_epoch(given, epoch)
    if opened.card is None:
        raise BundleError(f"{given}: expected a run or a bundle, got a bare model without a card; change its run")
    if initializer:
        draw_anew(opened.model, initializer)
    change_kernels(opened.model, values)
    said = [f"after epoch {epoch}"] if epoch is not None else []
    said += [f"drawn anew by {initializer}"] if initializer else []
    said += [f"{counted(len(values), 'number')} changed by hand"] if values else []
    # what was measured was another model
    card = replace(opened.card, network=f"{opened.card.network}, {', '.join(said)}", scores={})
    save_bundle(out, opened.model, card)
    return out


def _initializer(keras: Any, name: str, seed: int) -> Any:
    if name in ("small", "large"):
        return keras.initializers.RandomNormal(stddev=SMALL if name == "small" else LARGE, seed=seed)
    if name == "zeros":
        return keras.initializers.Zeros()
    return keras.initializers.get({"class_name": name, "config": {"seed": seed}})
