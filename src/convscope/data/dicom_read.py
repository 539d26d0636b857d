"""Open a DICOM file without trusting it: only the elements that are needed, sizes checked, its words never repeated.

Errors and notes name the study id and what is wrong, never a value: values may be names and dates.
"""

from __future__ import annotations

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from convscope.data.stored import DEFAULT_LIMITS, Limits, check_size
from convscope.errors import MissingExtraError, PictureError

LITTLE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_GEOMETRY = (
    *("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing", "ImagerPixelSpacing", "SliceThickness"),
    *("SpacingBetweenSlices", "InstanceNumber", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
_SHAPE = (
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SOPClassUID", "Modality"),
)
_VALUES = (
    *("RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence", "WindowCenter", "WindowWidth"),
    *("VOILUTFunction", "PresentationLUTShape", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *(f"{c}PaletteColorLookupTable{p}" for c in ("Red", "Green", "Blue") for p in ("Descriptor", "Data")),
    *(f"Segmented{c}PaletteColorLookupTableData" for c in ("Red", "Green", "Blue")),
)
# read to tell patients and series apart; shown only as keyed hashes
_IDENTITY = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "BurnedInAnnotation")
HEADER_TAGS = (*_SHAPE, *_GEOMETRY, *_IDENTITY)
ALL_TAGS = (*HEADER_TAGS, *_VALUES, *_PIXELS)
_NO_PICTURES = {
    "1.2.840.10008.1.3.10": "a DICOMDIR, an index of other files",
    "1.2.840.10008.5.1.4.1.1.104.1": "a PDF inside DICOM",
    "1.2.840.10008.5.1.4.1.1.481.3": "an RT structure set",
    "1.2.840.10008.5.1.4.1.1.481.5": "an RT plan",
}
_SR = "1.2.840.10008.5.1.4.1.1.88."
PARSER_ERRORS = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError, IndexError),
    *(OverflowError, MemoryError, RecursionError, RuntimeError, struct.error, zlib.error, AssertionError),
)

_quiet_lock = threading.Lock()


def pydicom_module() -> Any:
    """The pydicom package.

    Raises:
        MissingExtraError: not installed.
    """
    try:
        import pydicom
    except ImportError as error:
        raise MissingExtraError(
            "expected pydicom to read DICOM, it is not installed; pip install 'convscope[medical]'"
        ) from error
    return pydicom


@contextmanager
def unheard() -> Iterator[None]:
    """Pydicom warns with the values of a file: nobody must hear them. One thread at a time, as filters are global."""
    import logging

    logger = logging.getLogger("pydicom")
    with _quiet_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, logger.disabled = logger.disabled, True
        try:
            yield
        finally:
            logger.disabled = before


def is_dicom(head: bytes) -> bool:
    """Whether a file that begins so (132 bytes and more) is DICOM, with or without its preamble."""
    return head[128:132] == b"DICM" or (
        head[:2] in (b"\x02\0", b"\x08\0") and head[2:4] in (b"\0\0", b"\x10\0", b"\x05\0")
    )


def open_dicom(data: bytes, key: str, *, pixels: bool = True, limits: Limits = DEFAULT_LIMITS) -> Any:
    """Parse a file into a pydicom Dataset that holds only what is needed.

    Args:
        data: the file.
        key: the study id that errors use.
        pixels: False leaves the pixels unread (headers of a series).
        limits: pictures that claim more are refused.

    Raises:
        PictureError: not DICOM, no picture inside, damaged, or larger than `limits`.
        MissingExtraError: pydicom is not installed.
    """
    if not is_dicom(data[:132]):
        raise PictureError(key, "not a DICOM file")
    pydicom = pydicom_module()
    _check_deflated(pydicom, data, key, limits)
    try:
        with unheard():
            tags = [*(ALL_TAGS if pixels else HEADER_TAGS)]
            found = pydicom.dcmread(io.BytesIO(data), force=True, specific_tags=tags, stop_before_pixels=not pixels)
            _check(found, key, pixels, limits)
            if "TransferSyntaxUID" not in found.file_meta:
                found.file_meta.TransferSyntaxUID = _guessed_syntax(pydicom, found)
    except PictureError:
        raise
    except RecursionError:
        raise PictureError(key, "sequences nested too deep") from None
    except PARSER_ERRORS as error:
        raise PictureError(key, f"damaged DICOM ({type(error).__name__} while reading it)") from None
    return found


def _guessed_syntax(pydicom: Any, found: Any) -> str:
    implicit, little = found.original_encoding
    uid = pydicom.uid
    if implicit:
        return uid.ImplicitVRLittleEndian
    return uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian


def _check_deflated(pydicom: Any, data: bytes, key: str, limits: Limits) -> None:
    """Pydicom inflates without a limit: count first."""
    start = data.find(b"1.2.840.10008.1.2.1.99", 0, 4096)
    if start < 0:
        return
    try:
        with unheard():
            stream = io.BytesIO(data)
            stream.seek(132)
            pydicom.filereader._read_file_meta_info(stream)
    except PARSER_ERRORS as error:
        raise PictureError(key, f"damaged DICOM ({type(error).__name__} while reading its head)") from None
    inflater, left = zlib.decompressobj(-zlib.MAX_WBITS), data[stream.tell() :]
    total = 0
    try:
        while left and not inflater.eof:
            total += len(inflater.decompress(left, 1 << 20))
            left = inflater.unconsumed_tail
            if total > limits.decoded_bytes:
                raise PictureError(key, f"more than {limits.decoded_bytes / 2**20:,.0f} MiB when inflated")
    except zlib.error:
        raise PictureError(key, "damaged DICOM (its deflated part)") from None


def _check(found: Any, key: str, pixels: bool, limits: Limits) -> None:
    """Sizes by the header, before anything is allocated."""
    kind = str(found.get("SOPClassUID", "") or found.file_meta.get("MediaStorageSOPClassUID", ""))
    if kind in _NO_PICTURES or kind.startswith(_SR):
        raise PictureError(key, f"{_NO_PICTURES.get(kind, 'a structured report')}; no picture")
    if "Rows" not in found or "Columns" not in found:
        raise PictureError(key, "DICOM without a picture (no rows and columns)")
    rows, columns, frames = int(found.Rows), int(found.Columns), int(found.get("NumberOfFrames") or 1)
    samples, bits = int(found.get("SamplesPerPixel") or 1), int(found.get("BitsAllocated") or 8)
    check_size(key, (rows, columns), max(1, bits // 8) * samples, limits)
    whole = rows * columns * samples * max(1, frames)
    if frames < 1 or whole * 4 > 4 * limits.decoded_bytes:
        raise PictureError(key, f"{frames} frames of {rows} x {columns}, more than the limit")
    if pixels:
        _check_pixels(found, key, (whole * bits + 7) // 8)


def _check_pixels(found: Any, key: str, expected: int) -> None:
    names = [name for name in _PIXELS if name in found]
    if len(names) != 1:
        raise PictureError(key, "DICOM without pixels" if not names else "several kinds of pixel data in one file")
    element = found.get_item(names[0])
    value = element.value or b""
    length = getattr(element, "length", None)
    if length is not None and length != 0xFFFFFFFF and len(value) < length:
        raise PictureError(key, f"length past end of file: pixels of {length:,} bytes announced, {len(value):,} there")
    syntax = found.file_meta.get("TransferSyntaxUID")
    if (syntax is None or str(syntax) in NATIVE) and len(value) < expected:
        raise PictureError(key, f"expected {expected:,} bytes of pixels by its header, got {len(value):,}")
