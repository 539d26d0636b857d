"""NIfTI-1 volumes: the header is judged before anything is allocated, the affine is nibabel's."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from convscope.data.regular import read_regular
from convscope.data.volume import Volume, checked_grid, checked_shape
from convscope.errors import MissingExtraError, PictureError

NIFTI_SUFFIXES = (".nii", ".nii.gz", ".hdr", ".img")
_HEADER = 348
_PLAIN = {2, 4, 8, 16, 64, 256, 512, 768, 1024, 1280}  # NIfTI-1 datatype codes of real numbers
_KINDS = {32: "complex numbers", 1792: "complex numbers", 128: "RGB colours", 2304: "RGBA colours", 1: "bits"}


def nibabel_module() -> Any:
    """The nibabel package.

    Raises:
        MissingExtraError: not installed.
    """
    try:
        import nibabel
    except ImportError as error:
        raise MissingExtraError(
            "expected nibabel to read NIfTI, it is not installed; pip install 'convscope[medical]'"
        ) from error
    return nibabel


def read_nifti(path: Path, key: str, *, header_only: bool = False) -> Volume:
    """Read a .nii, a .nii.gz or a .hdr with its .img.

    Args:
        path: the file; of a pair the .hdr.
        key: the study id that errors use.
        header_only: leave the voxels out (`values` is empty).

    Raises:
        PictureError: damaged, of numbers that are no real numbers, or larger than the limit.
        MissingExtraError: nibabel is not installed.
    """
    nibabel = nibabel_module()
    data = read_regular(path, key=key)
    is_packed = data[:2] == b"\x1f\x8b"
    head = _inflated(data, _HEADER, key) if is_packed else data[:_HEADER]
    dims, start, order = _facts(head, key)
    shape = checked_shape(dims, key)
    header = _header(nibabel, head, key)
    # nibabel takes the sform where its code says that it is set, else the qform, else the size of the voxels
    affine = np.asarray(header.get_best_affine(), np.float64)
    grid = checked_grid(shape, affine, key)
    notes = _notes(header, grid.codes)
    if header_only:
        return Volume(np.empty((0,) * len(shape), np.float32), grid, notes)
    dtype = np.dtype(header.get_data_dtype()).newbyteorder(order)
    need = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if head[344:348] == b"ni1\0":
        body = read_regular(path.with_suffix(".img"), key=key)[start:][:need]
    else:
        body = (_inflated(data, start + need, key) if is_packed else data)[start : start + need]
    if len(body) < need:
        raise PictureError(key, f"expected {need:,} bytes of voxels from byte {start:,} on, got {len(body):,}")
    stored = np.frombuffer(body, dtype).reshape(shape, order="F")
    return Volume(_scaled(header, stored), grid, notes)


def _facts(head: bytes, key: str) -> tuple[tuple[int, ...], int, str]:
    """(lengths, first byte of the voxels, byte order) from the header, nothing else trusted."""
    if len(head) < _HEADER:
        raise PictureError(key, "too short for a NIfTI header")
    order = next((o for o in "<>" if struct.unpack_from(o + "i", head, 0)[0] == _HEADER), "")
    if not order or head[344:347] not in (b"n+1", b"ni1"):
        raise PictureError(key, "not a NIfTI-1 file (NIfTI-2 and CIFTI are not read)")
    count, *lengths = struct.unpack_from(order + "8h", head, 40)
    (kind,) = struct.unpack_from(order + "h", head, 70)
    (start,) = struct.unpack_from(order + "f", head, 108)
    if not 1 <= count <= 7:
        raise PictureError(key, f"expected 1 to 7 axes, its header says {count}")
    if kind not in _PLAIN:
        raise PictureError(key, f"voxels of {_KINDS.get(kind, f'unknown kind {kind}')}; expected real numbers")
    if not np.isfinite(start) or start < 0 or start > 1 << 30:
        raise PictureError(key, "the voxels begin past the end of the file by its header")
    first = int(start) if head[344:347] == b"ni1" else max(int(start), 352)
    return tuple(lengths[:count]), first, order


def _header(nibabel: Any, head: bytes, key: str) -> Any:
    try:
        return nibabel.Nifti1Header(head, check=False)
    except (nibabel.spatialimages.HeaderDataError, nibabel.wrapstruct.WrapStructError, ValueError) as error:
        raise PictureError(key, f"damaged NIfTI header ({type(error).__name__})") from None


def _inflated(data: bytes, most: int, key: str) -> bytes:
    """At most the first `most` bytes: what a packed file holds beyond them is never unpacked."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            return file.read(most)
    except (OSError, EOFError, zlib.error):
        raise PictureError(key, "damaged or truncated gzip") from None


def _notes(header: Any, codes: str) -> tuple[str, ...]:
    notes = [f"axes {codes}"]
    if int(header["sform_code"]) > 0 and int(header["qform_code"]) > 0:
        gap = np.abs(np.asarray(header.get_sform()) - np.asarray(header.get_qform())).max()
        if not gap < 1e-2:
            notes.append("its sform and qform differ; the sform is used")
    elif int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        notes.append("it does not say which way it lies; axes are taken as nibabel does")
    return tuple(notes)


def _scaled(header: Any, stored: np.ndarray) -> np.ndarray:
    """Slope and intercept applied (nibabel's rule: none where the slope is 0 or no number)."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    if not np.isfinite(slope) or slope == 0 or (slope == 1 and intercept == 0):
        return native
    return (native * slope + (intercept if np.isfinite(intercept) else 0.0)).astype(np.float32)
