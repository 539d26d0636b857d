"""Change attributes of single objects for the time of a block, and leave no trace of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from convscope.backend.selection import load_keras

_ABSENT = object()
LOW = ("float16", "bfloat16")


@contextmanager
def overridden(changes: Iterable[tuple[Any, str, Any]]) -> Iterator[None]:
    """Set (object, attribute, value) triples on the instances; undone afterwards, also after an error.

    The instance dictionary is written directly, because Keras and PyTorch track what is set the usual way.
    """
    saved: list[tuple[Any, str, Any]] = []
    try:
        for thing, name, value in changes:
            saved.append((thing, name, thing.__dict__.get(name, _ABSENT)))
            thing.__dict__[name] = value
        yield
    finally:
        for thing, name, old in reversed(saved):
            if old is _ABSENT:
                del thing.__dict__[name]
            else:
                thing.__dict__[name] = old


def in_float32(operations: Iterable[Any]) -> list[tuple[Any, str, Any]]:
    """The changes that make layers of 16-bit policies compute in float32."""
    keras = load_keras()
    full = keras.DTypePolicy("float32")
    return [
        (o, "_dtype_policy", full)
        for o in operations
        if isinstance(o, keras.Layer) and o.compute_dtype in LOW and o.quantization_mode is None
    ]


def without_hiding(by_path: dict[str, Any], chosen: Iterable[str]) -> list[tuple[Any, str, Any]]:
    """The changes that bring the `chosen` paths into the open: no rematerialisation, loops of an RNN unrolled."""
    keras = load_keras()
    changes: list[tuple[Any, str, Any]] = []
    inside = list(chosen)
    for path, operation in by_path.items():
        if getattr(operation, "_remat_mode", None) is not None:
            changes.append((operation, "_remat_mode", None))
        if isinstance(operation, keras.layers.RNN) and any(c.startswith(path + "/") for c in inside):
            changes.append((operation, "unroll", True))
            if hasattr(operation, "use_cudnn"):
                changes.append((operation, "use_cudnn", False))
    return changes
