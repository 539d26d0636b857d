"""Pixels of a DICOM frame: stored values -> the values that they stand for -> grey or colour in 0..255."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.data.dicom_read import LITTLE, PARSER_ERRORS, pydicom_module, unheard
from convscope.data.greys import Greys, greys_of, window_greys
from convscope.errors import PictureError

# what pip installs to decode a family of transfer syntaxes; JPEG Lossless has no decoder under a permissive licence
# in pure wheels, so it is named with the extra package that knows it
_DECODERS = {
    "JPEG Lossless": "pip install python-gdcm",
    "High-Throughput": "pip install 'convscope[medical]' (pylibjpeg-openjpeg)",
    "JPEG 2000": "pip install 'convscope[medical]' (pylibjpeg-openjpeg)",
    "JPEG-LS": "pip install 'convscope[medical]' (pyjpegls)",
    "RLE": "pip install 'convscope[medical]' (pylibjpeg-rle)",
}


@dataclass(frozen=True, eq=False)
class Frame:
    """One decoded frame.

    Attributes:
        values: (h, w) after the modality's rescaling (Hounsfield units in CT): float32, or as stored where there is
            none; or (h, w, 3) float32 in 0..255.
        greys: what becomes black and white; None for colour.
        is_inverted: MONOCHROME1, the largest value is black.
        notes: what was done that a person should know.
    """

    values: np.ndarray
    greys: Greys | None
    is_inverted: bool
    notes: tuple[str, ...]


def frames_of(found: Any) -> int:
    """How many frames a file holds."""
    return int(found.get("NumberOfFrames") or 1)


def decode_frame(found: Any, index: int, key: str) -> Frame:
    """Decode one frame of an opened file.

    Raises:
        PictureError: no decoder for its transfer syntax, or pixels that can't be decoded.
    """
    with unheard():
        stored = _stored(found, index, key)
        try:
            kind = str(found.get("PhotometricInterpretation") or "MONOCHROME2")
            if kind == "PALETTE COLOR":
                colours = pydicom_module().pixels.apply_color_lut(stored, found)
                return Frame(_scaled(colours, 8 * colours.dtype.itemsize), None, False, ("palette",))
            if stored.ndim == 3:
                return Frame(_scaled(stored, int(found.get("BitsStored") or 8)), None, False, ())
            values, notes = _rescaled(found, stored, index)
            greys = _window(found, index)
            return Frame(values, greys, kind == "MONOCHROME1", notes)
        except PARSER_ERRORS as error:
            raise PictureError(key, f"damaged DICOM ({type(error).__name__} while scaling its pixels)") from None


def _stored(found: Any, index: int, key: str) -> np.ndarray:
    """(h, w) or (h, w, 3) as stored; YBR turned into RGB by pydicom."""
    pydicom = pydicom_module()
    syntax = found.file_meta.TransferSyntaxUID
    try:
        decoder = pydicom.pixels.get_decoder(syntax)
    except NotImplementedError:
        raise PictureError(key, f"transfer syntax {_named(syntax)} is not supported") from None
    if not decoder.is_available:
        raise PictureError(key, f"no decoder for transfer syntax {_named(syntax)}; {_advice(_named(syntax))}")
    plain = _plain(found, index, str(syntax))
    if plain is not None:
        return plain
    try:
        values = np.asarray(pydicom.pixels.pixel_array(found, index=index))
    except PARSER_ERRORS as error:
        raise PictureError(key, f"{_named(syntax)}: its pixels can't be decoded ({type(error).__name__})") from None
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] != 3):
        raise PictureError(key, f"expected one grey or colour frame, decoded an array of shape {values.shape}")
    return values


def _plain(found: Any, index: int, syntax: str) -> np.ndarray | None:
    """Whole uncompressed little-endian grey words as they lie in the file: the common case, without a decoder."""
    bits, stored = int(found.get("BitsAllocated") or 0), int(found.get("BitsStored") or 0)
    is_grey = str(found.get("PhotometricInterpretation")) in ("MONOCHROME1", "MONOCHROME2")
    if syntax not in LITTLE or not is_grey or bits not in (8, 16) or "PixelData" not in found:
        return None
    if int(found.get("SamplesPerPixel") or 1) != 1 or int(found.get("HighBit") or 0) != stored - 1:
        return None
    is_signed = bool(found.get("PixelRepresentation"))
    shape = (int(found.Rows), int(found.Columns))
    size = shape[0] * shape[1]
    dtype = np.dtype(f"<{'i' if is_signed else 'u'}{bits // 8}")
    values = np.frombuffer(found.PixelData, dtype, size, index * size * dtype.itemsize).reshape(shape)
    if stored < bits and (is_signed or int(values.max()) >= 1 << stored):
        return None  # something else lies in the unused bits
    return values


def _named(syntax: Any) -> str:
    name = str(getattr(syntax, "name", syntax))
    return name if name.isprintable() and len(name) < 120 else "unknown"


def _advice(name: str) -> str:
    return next((advice for start, advice in _DECODERS.items() if name.startswith(start)), "convert the file")


def _scaled(values: np.ndarray, bits: int) -> np.ndarray:
    return values.astype(np.float32) * np.float32(255 / (2**bits - 1))


def _rescaled(found: Any, stored: np.ndarray, index: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Slope and intercept, or the modality's table; a slope that can't be meant is ignored and said."""
    table = found.get("ModalityLUTSequence")
    if table:
        return pydicom_module().pixels.apply_modality_lut(stored, found).astype(np.float32), ()
    group = functional_group(found, index, "PixelValueTransformationSequence") or found
    slope, intercept = _number(group.get("RescaleSlope"), 1.0), _number(group.get("RescaleIntercept"), 0.0)
    if not (np.isfinite(slope) and np.isfinite(intercept)) or slope == 0:
        return stored, ("rescale slope or intercept is 0 or no number, ignored",)
    if slope == 1 and intercept == 0:
        return stored, ()
    return (stored.astype(np.float64) * slope + intercept).astype(np.float32), ()


def functional_group(found: Any, index: int, name: str) -> Any:
    """The item of a multi-frame file that concerns frame `index`, its own before the shared one; None for none."""
    per_frame = found.get("PerFrameFunctionalGroupsSequence") or ()
    shared = found.get("SharedFunctionalGroupsSequence") or ()
    for group in (*per_frame[index : index + 1], *shared[:1]):
        items = group.get(name)
        if items:
            return items[0]
    return None


def _number(value: Any, default: float) -> float:
    if value is None or value == "":
        return default
    if isinstance(value, str | bytes) or not hasattr(value, "__len__"):
        return float(value)
    return float(value[0]) if len(value) else default


def _window(found: Any, index: int) -> Greys | None:
    """The file's first window where it has a usable one."""
    group = functional_group(found, index, "FrameVOILUTSequence") or found
    centre, width = group.get("WindowCenter"), group.get("WindowWidth")
    if centre is None or width is None or centre == "" or width == "":
        return None
    kind = str(group.get("VOILUTFunction") or "LINEAR").upper()
    return window_greys(_number(centre, np.nan), _number(width, np.nan), kind)


def shown_frame(frame: Frame, greys: Greys | None = None) -> tuple[np.ndarray, tuple[str, ...]]:
    """The frame in 0..255 float32, (h, w) or (h, w, 3), and notes that say which grey scale was used."""
    if frame.values.ndim == 3:
        return frame.values, frame.notes
    chosen = greys or frame.greys or greys_of(frame.values)
    values = chosen.apply(frame.values)
    if frame.is_inverted:
        values = np.float32(255) - values
    return values, (*frame.notes, chosen.words)
