"""Pictures as the model takes them: checked, cut into batches, the last one padded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.backend.gradients import needs_fixed_shapes
from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.errors import ModelError


@dataclass(frozen=True, eq=False)
class Inputs:
    """The arrays of n samples in the nesting that the model takes."""

    structure: Any
    n: int

    def take(self, start: int, stop: int, padded_to: int) -> Any:
        """Samples start..stop, the last one repeated until there are `padded_to`."""
        rows = np.minimum(np.arange(start, start + padded_to), stop - 1)
        whole = padded_to == stop - start
        cut = (lambda x: x[start:stop]) if whole else (lambda x: x[rows])
        return load_keras().tree.map_structure(cut, self.structure)

    def signature(self) -> tuple:
        """Shapes without the batch and dtypes: equal for inputs that one trace serves."""
        flat = load_keras().tree.flatten(self.structure)
        return tuple((x.shape[1:], str(x.dtype)) for x in flat)


def checked_inputs(model: Any, images: Any) -> Inputs:
    """Arrays (n, ...) or nested lists/dicts of them, checked against what the model says it takes.

    float64 becomes float32, as in `predict`; nothing else is changed.

    Raises:
        ModelError: not arrays, no batch axis, another shape, different numbers of samples.
    """
    keras = load_keras()
    structure = keras.tree.map_structure(_as_array, images)
    flat = keras.tree.flatten(structure)
    if not flat:
        raise ModelError("expected at least one array of pictures, got none")
    for x in flat:
        if x.ndim < 1 or not len(x):
            raise ModelError(f"expected arrays with a batch axis and at least one sample, got shape {x.shape}")
    counts = {len(x) for x in flat}
    if len(counts) > 1:
        raise ModelError(f"expected as many samples in each input, got {', '.join(map(str, sorted(counts)))}")
    _check_shapes(model, flat)
    return Inputs(structure, counts.pop())


def _as_array(value: Any) -> np.ndarray:
    if isinstance(value, (str, bytes)) or (hasattr(value, "convert") and hasattr(value, "mode")):
        raise ModelError(
            "expected arrays, got a file path or a PIL picture; give Scope a saved model with its preprocessing, "
            "or Scope(model, preprocess=f)"
        )
    array = to_numpy(value) if load_keras().ops.is_tensor(value) else np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise ModelError(f"expected arrays of numbers, got dtype {array.dtype}")
    array = array.astype(np.float32) if array.dtype == np.float64 else array
    return array if array.flags.writeable else array.copy()  # PyTorch warns of arrays that it could not write to


def _check_shapes(model: Any, flat: list[np.ndarray]) -> None:
    expected = model_input_shapes(model)
    if expected is None:
        return
    if len(flat) != len(expected):
        raise ModelError(f"expected {len(expected)} inputs, got {len(flat)} arrays")
    for x, shape in zip(flat, expected):
        fits = x.ndim == len(shape) and all(d is None or d == e for d, e in zip(shape[1:], x.shape[1:]))
        if not fits:
            words = "(n, " + ", ".join("any" if d is None else str(d) for d in shape[1:]) + ")"
            hint = "; add a batch axis: images[None]" if x.ndim == len(shape) - 1 else ""
            raise ModelError(f"expected pictures of shape {words}, got {x.shape}{hint}")


def model_input_shapes(model: Any) -> list[tuple[int | None, ...]] | None:
    """Declared shapes with the batch axis, in the order of the flat inputs; None for a subclassed model."""
    keras = load_keras()
    inputs = getattr(model, "inputs", None) if isinstance(model, keras.Model) else None
    return [tuple(t.shape) for t in inputs] if inputs else None


def blank_inputs(model: Any) -> Inputs:
    """One sample of zeros, for a model that declares its whole input shape.

    Raises:
        ModelError: the shape is not known without pictures.
    """
    shapes = model_input_shapes(model)
    if shapes is None or any(d is None for s in shapes for d in s[1:]):
        raise ModelError("this model does not say its whole input shape; pass pictures, so that shapes are known")
    keras = load_keras()
    n = shapes[0][0] or 1
    nesting = model.inputs[0] if len(shapes) == 1 else model.input
    return Inputs(keras.tree.map_structure(lambda t: np.zeros((n, *t.shape[1:]), t.dtype), nesting), n)


def fixed_batch(model: Any) -> int | None:
    """The batch size that the model insists on, or None; a Sequential only remembers the first one it met."""
    shapes = None if isinstance(model, load_keras().Sequential) else model_input_shapes(model)
    return shapes[0][0] if shapes else None


def cuts(n: int, batch_size: int, fixed: int | None, *, pad: bool = True) -> Iterator[tuple[int, int, int]]:
    """(start, stop, padded size) of each batch; few different sizes, so that few are compiled."""
    size = fixed or batch_size
    for start in range(0, n, size):
        stop = min(start + size, n)
        if fixed:
            yield start, stop, fixed
        elif not pad or not needs_fixed_shapes() or stop - start == size:
            yield start, stop, stop - start
        else:
            whole = size if n > size else 1 << (stop - start - 1).bit_length()
            yield start, stop, min(whole, size)
