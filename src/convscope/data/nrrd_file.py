"""NRRD volumes with their data attached: the header through pynrrd, the voxels within limits."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from convscope.data.regular import read_regular
from convscope.data.volume import Volume, checked_grid, checked_shape
from convscope.errors import MissingExtraError, PictureError

_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}
_TO_RAS = {
    **dict.fromkeys(("left-posterior-superior", "lps"), (-1.0, -1.0, 1.0)),
    **dict.fromkeys(("right-anterior-superior", "ras"), (1.0, 1.0, 1.0)),
    **dict.fromkeys(("left-anterior-superior", "las"), (-1.0, 1.0, 1.0)),
}


def nrrd_module() -> Any:
    """The pynrrd package.

    Raises:
        MissingExtraError: not installed.
    """
    try:
        import nrrd
    except ImportError as error:
        raise MissingExtraError(
            "expected pynrrd to read NRRD, it is not installed; pip install 'convscope[medical]'"
        ) from error
    return nrrd


def read_nrrd(path: Path, key: str, *, header_only: bool = False) -> Volume:
    """Read a .nrrd file, raw or gzip.

    Args:
        path: the file.
        key: the study id that errors use.
        header_only: leave the voxels out (`values` is empty).

    Raises:
        PictureError: damaged, of another encoding, with its data in another file, or larger than the limit.
        MissingExtraError: pynrrd is not installed.
    """
    nrrd = nrrd_module()
    data = read_regular(path, key=key)
    if data[:4] != b"NRRD":
        raise PictureError(key, "not a NRRD file")
    stream = io.BytesIO(data)
    try:
        header = nrrd.read_header(stream)
    except (nrrd.NRRDError, ValueError, KeyError, IndexError, TypeError, UnicodeDecodeError) as error:
        raise PictureError(key, f"damaged NRRD header ({type(error).__name__})") from None
    if any(name in header for name in ("data file", "datafile")):
        raise PictureError(key, "its voxels lie in another file; save it as one .nrrd")
    dims = checked_shape(tuple(int(s) for s in header.get("sizes", ())), key)
    affine, notes = _affine(header, len(header["sizes"]), key)
    grid = checked_grid(dims, affine, key)
    notes = (f"axes {grid.codes}", *notes)
    if header_only:
        return Volume(np.empty((0,) * len(dims), np.float32), grid, notes)
    return Volume(_voxels(header, data[stream.tell() :], dims, key), grid, notes)


def _voxels(header: Any, body: bytes, dims: tuple[int, ...], key: str) -> np.ndarray:
    kind = _TYPES.get(str(header.get("type", "")).lower())
    if kind is None:
        raise PictureError(key, "voxels of a kind that is not known here; expected plain numbers")
    order = ">" if str(header.get("endian", "little")).lower() == "big" else "<"
    dtype = np.dtype(order + kind)
    need = int(np.prod(dims, dtype=np.int64)) * dtype.itemsize
    encoding = str(header.get("encoding", "")).lower()
    if int(header.get("line skip", 0) or 0) or int(header.get("byte skip", 0) or 0):
        raise PictureError(key, "its voxels begin after a skip; save it without")
    if encoding in ("gzip", "gz"):
        try:
            body = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(body, need)
        except zlib.error:
            raise PictureError(key, "damaged gzip") from None
    elif encoding != "raw":
        raise PictureError(key, "expected encoding raw or gzip; save it so")
    if len(body) < need:
        raise PictureError(key, f"expected {need:,} bytes of voxels, got {len(body):,}")
    stored = np.frombuffer(body[:need], dtype).reshape(dims, order="F")
    return stored.astype(dtype.newbyteorder("="), copy=False)


def _affine(header: Any, axes: int, key: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """(4, 4) voxel -> mm RAS+; without directions the voxels are taken as 1 mm, left, back, top."""
    directions = header.get("space directions")
    if directions is None:
        return np.diag([-1.0, -1.0, 1.0, 1.0]), ("it does not say which way it lies",)
    rows = np.asarray(directions, np.float64)
    if axes > 3 and not np.isfinite(rows[0]).all():
        raise PictureError(key, "its first axis is no axis of space; save components or times as the last axis")
    rows = rows[:3]
    if rows.shape != (3, 3):
        raise PictureError(key, f"expected three directions in space, got an array of shape {rows.shape}")
    origin = np.asarray(header.get("space origin", np.zeros(3)), np.float64)
    signs = _TO_RAS.get(str(header.get("space", "left-posterior-superior")).lower())
    if signs is None:
        raise PictureError(key, "a space that is not known here; expected left-posterior-superior or -anterior-")
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = np.diag(signs) @ rows.T, np.asarray(signs) * origin
    return affine, ()
