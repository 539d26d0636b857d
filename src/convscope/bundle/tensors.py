"""Weights as safetensors: written with stable names, compared with what is expected before a value is read."""

from __future__ import annotations

import struct
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from convscope.backend.tensors import to_numpy
from convscope.bundle.strict_json import read_json
from convscope.errors import BundleError
from convscope.files.tensors import save_tensors
from convscope.models.variables import named_variables

BYTES = {"F64": 8, "F32": 4, "F16": 2, "I64": 8, "I32": 4, "I8": 1, "U8": 1, "BOOL": 1}


def write_tensors(path: Path, model: Any) -> None:
    """Write every weight of `model`; bfloat16 is kept as float32, which holds it exactly.

    Raises:
        StorageError: the disk refuses.
        BundleError: a weight is NaN or infinite.
    """
    tensors = {name: np.ascontiguousarray(to_numpy(v.value)) for name, v in named_variables(model).items()}
    refuse_non_finite(tensors, "the model")
    save_tensors(path, tensors)


def read_tensors(path: Path, expected: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Read the weights that an architecture expects.

    Raises:
        BundleError: damaged, a missing or extra variable, another shape or dtype, NaN or infinity.
    """
    found = _header(path)
    for name, shape in expected.items():
        if name not in found:
            raise BundleError(f"{path}: expected variable {name} of shape {shape}, found none (rule R16)")
        if found[name] != shape:
            raise BundleError(f"{path}: expected {name} of shape {shape}, found {found[name]} (rule R15)")
    for name in found:
        if name not in expected:
            raise BundleError(f"{path}: the architecture has no variable {name!r:.80} (rule R16)")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise BundleError(f"{path}: not a whole safetensors file: {error}") from error
    refuse_non_finite(tensors, str(path))
    return tensors


def refuse_non_finite(tensors: dict[str, np.ndarray], where: str) -> None:
    """Raise BundleError naming the first tensor that holds NaN or infinity."""
    for name, value in tensors.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise BundleError(f"{where}: expected finite weights, {name} holds NaN or infinity (rule R16)")


def _header(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes; refuses duplicate names, overlaps, holes, trailing bytes and sizes that lie (rule R21)."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > size - 8:
            raise BundleError(f"{path}: not a whole safetensors file (rule R21)")
        header = read_json(file.read(length), str(path))
    try:
        entries = {n: e for n, e in header.items() if n != "__metadata__"}
        spans = sorted((*e["data_offsets"], prod(e["shape"]) * BYTES[e["dtype"]]) for e in entries.values())
        shapes = {name: tuple(int(n) for n in entry["shape"]) for name, entry in entries.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{path}: its header lists something that is no plain tensor (rule R21)") from error
    end = 0
    for first, last, wanted in spans:
        if first != end or last - first != wanted:
            raise BundleError(f"{path}: its tensors overlap, leave holes or lie about their size (rule R21)")
        end = last
    if end != size - 8 - length:
        raise BundleError(f"{path}: {size - 8 - length - end} bytes after its last tensor (rule R21)")
    return shapes
