"""Look through an HDF5 file of weights before Keras reads it: plain datasets of the expected shapes, nothing else."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator

import h5py
import numpy as np

from convscope.errors import BundleError

MAX_RATIO = 20
MAX_DEPTH = 64
OPTIMIZER = "optimizer"


def _datasets(group: h5py.Group, path: str, where: str, seen: set[int]) -> Iterator[tuple[str, h5py.Dataset]]:
    address = h5py.h5o.get_info(group.id).addr
    if address in seen or path.count("/") > MAX_DEPTH:
        raise BundleError(f"{where}: group {path or '/'} is linked twice or too deep (rule R14)")
    seen.add(address)
    for name in group:
        here = f"{path}/{name}".lstrip("/")
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise BundleError(f"{where}: {here} is a link to elsewhere (rule R14)")
        kind = group.get(name, getclass=True)
        if kind is h5py.Group:
            yield from _datasets(group[name], here, where, seen)
        elif kind is h5py.Dataset:
            yield here, group[name]
        else:
            raise BundleError(f"{where}: {here} is neither a group nor an array (rule R14)")


def _check_dataset(path: str, data: h5py.Dataset, where: str) -> None:
    if data.is_virtual or data.external:
        raise BundleError(f"{where}: {path} takes its values from another file (rule R14)")
    if data.dtype.kind not in "fiub" or data.dtype.names or h5py.check_vlen_dtype(data.dtype):
        if data.dtype.kind == "O" and path.startswith(OPTIMIZER):
            return
        raise BundleError(f"{where}: {path} holds {data.dtype}, which is no plain number (rule R14)")
    filters = data.id.get_create_plist()
    for k in range(filters.get_nfilters()):
        if filters.get_filter(k)[0] not in (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE):
            raise BundleError(f"{where}: {path} is packed with an unknown filter (rule R14)")
    stored = data.id.get_storage_size()
    if data.nbytes > MAX_RATIO * max(stored, 64):
        raise BundleError(
            f"{where}: {path} declares {data.nbytes:,} bytes of shape {data.shape} and stores {stored:,} (rule R15)"
        )


def check_h5_weights(data: bytes, expected: tuple[tuple[int, ...], ...], where: str) -> None:
    """Refuse a file of weights that is not what the architecture expects, before a value is read.

    Args:
        data: bytes of a `model.weights.h5`.
        expected: the shapes of all weights, in no order; an optimizer's variables may stand there too.
        where: named in the error.

    Raises:
        BundleError: links, odd types, bombs, missing or extra variables, other shapes, NaN or infinity.
    """
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            arrays = dict(_datasets(file, "", where, set()))
            for path, array in arrays.items():
                _check_dataset(path, array, where)
            weights = {p: a for p, a in arrays.items() if not p.startswith(f"{OPTIMIZER}/")}
            _compare(weights, expected, where)
            for path, array in weights.items():
                if array.dtype.kind == "f" and not np.isfinite(array[()]).all():
                    raise BundleError(f"{where}: expected finite weights, {path} holds NaN or infinity (rule R16)")
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{where}: its weights are no whole HDF5 file: {str(error).splitlines()[0]}") from error


def _compare(weights: dict[str, h5py.Dataset], expected: tuple[tuple[int, ...], ...], where: str) -> None:
    wanted = Counter(expected)
    for path, array in weights.items():
        if not wanted[array.shape]:
            raise BundleError(
                f"{where}: {path} of shape {array.shape} has no place in the architecture (rules R15, R16)"
            )
        wanted[array.shape] -= 1
    missing = [shape for shape, count in wanted.items() if count]
    if missing:
        raise BundleError(f"{where}: expected a variable of shape {missing[0]}, found none (rule R16)")
