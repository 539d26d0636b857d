"""Which model and which data: SHA-256 of what decides the values."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from convscope.backend.tensors import to_numpy
from convscope.scope.paths import operations_by_path


def model_fingerprint(model: Any) -> str:
    """SHA-256 over the kinds of all layers in order and the values of all weights.

    Names are left out, because Keras numbers unnamed layers anew in each process; random state is left out too.
    """
    digest = hashlib.sha256()
    for operation in operations_by_path(model).values():
        digest.update(f"{type(operation).__name__};".encode())
    for weight in model.weights:
        digest.update(f"{tuple(weight.shape)}:{weight.dtype};".encode())
        digest.update(np.ascontiguousarray(to_numpy(weight.value)).tobytes())
    return digest.hexdigest()


def data_fingerprint(ids: Sequence[str], first: np.ndarray) -> str:
    """SHA-256 over the pictures' names in order and the values of the first ones."""
    digest = hashlib.sha256("\n".join(ids).encode("utf-8", "backslashreplace"))
    digest.update(f"{first.shape}:{first.dtype};".encode())
    digest.update(np.ascontiguousarray(first).tobytes())
    return digest.hexdigest()
