"""Named arrays as a safetensors file, the library's own error turned into what callers expect."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from convscope.files.atomic import storage_error


def save_tensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """Write arrays to `path` (not atomic by itself: call it inside `atomic_file` or `atomic_folder`).

    Raises:
        StorageError: the disk refuses; safetensors tells so by a text of its own.
    """
    try:
        save_file({name: np.array(value, order="C") for name, value in tensors.items()}, path)
    except SafetensorError as error:
        raise storage_error(path, OSError(_number(str(error)), str(error))) from error


def _number(text: str) -> int:
    """The system's error number in "... (os error 27)"; 0 when there is none."""
    digits = text.rpartition("os error ")[2].rstrip(") ")
    return int(digits) if digits.isdigit() else 0
