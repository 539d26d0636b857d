"""Read the old, non-zip PyTorch file (`torch.save` before 1.6) with NumPy alone; nothing in it is ever run.

Layout: three pickles (magic number, protocol version, system facts), one pickle with the state dict whose tensors
point at storages by key, one pickle with the list of keys, then per key a little-endian int64 count and the values.
Every pickle is read by an Unpickler that admits the few names a state dict of tensors needs and refuses all others.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convscope.errors import ModelError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}


@dataclass(frozen=True)
class _StorageKind:
    """Stands where the file names a torch storage class; never constructed by the file."""

    dtype: str


@dataclass(frozen=True)
class _Storage:
    """One run of values in the file, not yet read."""

    key: str
    dtype: str
    count: int


@dataclass(frozen=True)
class _Slice:
    """A tensor before its values are read: a strided view of a storage, all in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: object) -> _Slice:
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    return _Slice(storage, int(offset), tuple(int(n) for n in shape), tuple(int(n) for n in strides))


class _StateDictUnpickler(pickle.Unpickler):
    """Admits the names that a state dict of tensors needs; refuses the rest by name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in DTYPES:
            return _StorageKind(DTYPES[name])
        raise pickle.UnpicklingError(f"it names {module}.{name}, which a file of weights has no need of")

    def persistent_load(self, pid: Any) -> _Storage:
        if not (isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage" and isinstance(pid[1], _StorageKind)):
            raise pickle.UnpicklingError("it points at something other than a storage")
        return _Storage(str(pid[2]), pid[1].dtype, int(pid[4]))


class _PlainUnpickler(pickle.Unpickler):
    """For the parts that hold numbers, strings and lists only."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it names {module}.{name}, which a file of weights has no need of")


def read_torch_file(path: Path) -> dict[str, np.ndarray]:
    """Read every tensor of a state dict.

    Args:
        path: a non-zip .pth file of a flat state dict (name -> tensor).

    Returns:
        name -> array with the shape and dtype that the file states.

    Raises:
        ModelError: not such a file, damaged, or one that names anything but tensors.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: can't be read: {error.strerror}") from error
    if data[:2] == b"PK":
        raise ModelError(
            f"{path}: expected the old non-zip .pth format, got the zip format of PyTorch 1.6 and later, "
            "which convscope does not read; save the weights as .safetensors"
        )
    try:
        return _read(io.BytesIO(data))
    except (pickle.UnpicklingError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError,
            OverflowError, MemoryError, struct.error) as error:  # fmt: skip
        raise ModelError(f"{path}: expected a .pth file of plain tensors, and refused it: {error}") from error


def _read(file: io.BytesIO) -> dict[str, np.ndarray]:
    if _PlainUnpickler(file).load() != MAGIC:
        raise ValueError("its first number is not PyTorch's")
    if _PlainUnpickler(file).load() != PROTOCOL:
        raise ValueError(f"its protocol is not {PROTOCOL}")
    facts = _PlainUnpickler(file).load()
    if not facts.get("little_endian", True):
        raise ValueError("its values are big-endian")
    state = _StateDictUnpickler(file).load()
    if not isinstance(state, dict) or not all(isinstance(v, _Slice) for v in state.values()):
        raise ValueError("it is no flat dictionary of tensors")
    storages = {tensor.storage.key: tensor.storage for tensor in state.values()}
    values = _read_storages(file, _PlainUnpickler(file).load(), storages)
    return {str(name): _view(values[tensor.storage.key], tensor) for name, tensor in state.items()}


def _read_storages(file: io.BytesIO, keys: list[str], storages: dict[str, _Storage]) -> dict[str, np.ndarray]:
    values = {}
    for key in keys:
        storage = storages[key]
        (count,) = struct.unpack("<q", file.read(8))
        if count != storage.count:
            raise ValueError(f"storage {key} holds {count} values, its tensors expect {storage.count}")
        raw = file.read(count * np.dtype(storage.dtype).itemsize)
        values[key] = np.frombuffer(raw, storage.dtype, count)
    return values


def _view(values: np.ndarray, tensor: _Slice) -> np.ndarray:
    """The tensor's strided view, copied; refused when it would reach outside its storage."""
    if len(tensor.shape) != len(tensor.strides) or min((0, tensor.offset, *tensor.shape, *tensor.strides)) < 0:
        raise ValueError("a tensor has negative or unequal sizes and strides")
    last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides))
    if 0 not in tensor.shape and last >= len(values):
        raise ValueError("a tensor reaches beyond its storage")
    if np.prod(tensor.shape, dtype=object) > len(values):
        raise ValueError("a tensor repeats values of its storage")
    steps = tuple(s * values.itemsize for s in tensor.strides)
    return np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, steps, writeable=False).copy()
