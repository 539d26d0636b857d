"""Small DICOM, NIfTI and NRRD files made for tests; every form that bad-inputs names."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np


def dicom(path: Path, *, pixels: np.ndarray | None = None, **tags: object) -> Path:
    """8 x 8, 16 bits allocated and 12 stored, unless `tags` say otherwise."""
    from pydicom.dataset import FileDataset, FileMetaDataset

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = str(tags.pop("syntax", "1.2.840.10008.1.2.1"))
    meta.MediaStorageSOPClassUID = str(tags.get("SOPClassUID", "1.2.840.10008.5.1.4.1.1.7"))
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    made = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.3"
    made.PatientName, made.PatientID = "DOE^JOHN", "12345"
    pixels = np.arange(64, dtype="u2").reshape(8, 8) if pixels is None else pixels
    made.Rows, made.Columns = pixels.shape[-2:] if pixels.ndim == 2 else pixels.shape[:2]
    made.BitsAllocated = 8 * pixels.dtype.itemsize
    made.BitsStored = 12 if pixels.dtype.itemsize == 2 else 8
    made.HighBit, made.PixelRepresentation = made.BitsStored - 1, int(pixels.dtype.kind == "i")
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.PixelData = pixels.tobytes()
    for key, value in tags.items():
        setattr(made, key, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, enforce_file_format=True)
    return path


def series(folder: Path, n: int = 5, *, gap: float = 2.5, **tags: object) -> list[Path]:
    """An axial series; slice k holds 10 k + 0..63 and lies at z = k gap."""
    paths = []
    for k in range(n):
        own = {
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "ImagePositionPatient": [-7.0, -9.0, k * gap],
            "PixelSpacing": [0.5, 0.75],
            "InstanceNumber": n - k,  # against the order in space
            "SeriesInstanceUID": "1.2.9",
            "StudyInstanceUID": "1.2.8",
            "Modality": "MR",
        } | tags
        pixels = (np.arange(64, dtype="u2") + 10 * k).reshape(8, 8)
        paths.append(dicom(folder / f"im{(k * 7) % n}.dcm", pixels=pixels, **own))
    return paths


def nifti_header(dims: tuple[int, ...], body: bytes = b"\0" * 1000, *, offset: float = 352) -> bytes:
    """A NIfTI-1 file of float32 with any lengths."""
    head = bytearray(348)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, len(dims), *dims, *[1] * (7 - len(dims)))
    struct.pack_into("<hh", head, 70, 16, 32)
    struct.pack_into("<8f", head, 76, *[1] * 8)
    struct.pack_into("<f", head, 108, offset)
    head[344:348] = b"n+1\0"
    return bytes(head) + b"\0" * 4 + body


def nifti(
    path: Path, values: np.ndarray, affine: np.ndarray | None = None, *, scale: tuple[float, float] | None = None
) -> Path:
    """A file as nibabel writes it."""
    import nibabel

    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(values, np.diag([2.0, 3.0, 4.0, 1.0]) if affine is None else affine)
    if scale is not None:
        image.header.set_slope_inter(*scale)
    nibabel.save(image, path)
    return path
