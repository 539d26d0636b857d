"""Label volumes written in the geometry of the volume that they belong to: NIfTI, a DICOM series, or PNG slices.

Nothing of the source's words goes along: only its grid, and the study id under which it is shown.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from convscope.arrays.orientation import Grid, Plane, cut, joined
from convscope.data.dicom_read import pydicom_module, unheard
from convscope.data.nifti import nibabel_module
from convscope.errors import DataError
from convscope.files.atomic import atomic_folder, write_bytes

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_UID_ROOT = "2.25."  # UIDs made of a number, which anybody may make (ITU-T X.667)


def labels_of_slices(masks: Sequence[np.ndarray], grid: Grid, plane: Plane) -> np.ndarray:
    """All masks of one volume's plane, in order -> (x, y, z) uint8 in the volume's own order.

    Raises:
        DataError: not one mask for each slice of the grid.
    """
    if len(masks) != grid.count(plane):
        raise DataError(f"expected {grid.count(plane)} masks for the {plane} slices of a volume, got {len(masks)}")
    labels = grid.from_lps(joined(masks, plane)).astype(np.uint8)
    if labels.shape != grid.shape:
        raise DataError(f"expected masks that make a volume of {grid.shape}, got {labels.shape}")
    return labels


def write_nifti(path: Path, labels: np.ndarray, grid: Grid) -> None:
    """Write (x, y, z) labels as .nii or .nii.gz with the grid's affine as sform and qform code 1 (scanner).

    Two writes of the same labels give the same bytes.

    Raises:
        DataError: labels that do not fit the grid.
        StorageError: the file can't be written.
        MissingExtraError: nibabel is not installed.
    """
    _write(path, labels.astype(np.uint8), grid)


def write_nifti_values(path: Path, values: np.ndarray, grid: Grid) -> None:
    """Write (x, y, z) numbers, heat for instance, as float32 like `write_nifti`; the same errors."""
    _write(path, values.astype(np.float32), grid)


def _write(path: Path, values: np.ndarray, grid: Grid) -> None:
    if values.shape != grid.shape:
        raise DataError(f"expected values of shape {grid.shape}, got {values.shape}")
    nibabel = nibabel_module()
    image = nibabel.Nifti1Image(values, grid.affine)
    image.set_sform(grid.affine, 1)
    image.set_qform(grid.affine, 1, strip_shears=True)
    image.header.set_xyzt_units("mm")
    data = image.to_bytes()
    write_bytes(path, gzip.compress(data, 6, mtime=0) if path.name.endswith(".gz") else data)


def write_dicom_series(folder: Path, labels: np.ndarray, grid: Grid, *, study: str) -> None:
    """Write (x, y, z) labels as a Secondary Capture series, one file for each slice along the third own axis.

    Position, orientation and pixel spacing are the grid's; patient name and id are the study id, nothing else of the
    source is known here. It is no DICOM SEG: viewers show it as a series of its own that lies on the source.

    Args:
        folder: new; written whole or not at all.
        labels: uint8.
        grid: whose third axis the slices follow.
        study: the study id.

    Raises:
        DataError: labels that do not fit the grid.
        StorageError: it can't be written.
        MissingExtraError: pydicom is not installed.
    """
    if labels.shape != grid.shape:
        raise DataError(f"expected labels of shape {grid.shape}, got {labels.shape}")
    with atomic_folder(folder) as temporary, unheard():
        for index in range(labels.shape[2]):
            (temporary / f"slice-{index:04d}.dcm").write_bytes(_capture(labels[:, :, index].T, grid, index, study))


def _capture(pixels: np.ndarray, grid: Grid, index: int, study: str) -> bytes:
    pydicom = pydicom_module()
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine
    sizes = grid.spacing_mm
    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = _SECONDARY_CAPTURE
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = _uid(f"{study}/{index}")
    made.StudyInstanceUID, made.SeriesInstanceUID = _uid(f"{study}/study"), _uid(f"{study}/labels")
    made.FrameOfReferenceUID = _uid(f"{study}/frame")
    made.PatientName = made.PatientID = study
    made.PatientBirthDate = made.PatientSex = made.StudyDate = made.StudyTime = ""
    made.ReferringPhysicianName = made.StudyID = made.AccessionNumber = ""
    made.Modality, made.ConversionType, made.SeriesDescription = "OT", "WSD", "labels by convscope"
    made.BurnedInAnnotation, made.SeriesNumber, made.InstanceNumber = "NO", 1, index + 1
    made.ImageOrientationPatient = [_decimal(v) for axis in (0, 1) for v in lps[:3, axis] / sizes[axis]]
    made.ImagePositionPatient = [_decimal(v) for v in (lps @ [0, 0, index, 1])[:3]]
    made.PixelSpacing, made.SliceThickness = [_decimal(sizes[1]), _decimal(sizes[0])], _decimal(sizes[2])
    made.Rows, made.Columns = pixels.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    data = np.ascontiguousarray(pixels, np.uint8).tobytes()
    made.PixelData = data + b"\0" * (len(data) % 2)
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, made, enforce_file_format=True)
    return stream.getvalue()


def _decimal(value: float) -> str:
    """A DICOM decimal string: 16 characters at most."""
    return next(text for digits in range(15, 0, -1) if len(text := f"{value:.{digits}g}") <= 16)


def _uid(name: str) -> str:
    """The same UID for the same name."""
    import uuid

    return _UID_ROOT + str(uuid.uuid5(uuid.NAMESPACE_OID, name).int)


def write_slices(folder: Path, labels: np.ndarray, grid: Grid, plane: Plane) -> None:
    """Write labels as index PNGs, "axial-0000.png" and so on, one for each slice of the plane, in a new folder.

    Raises:
        StorageError: it can't be written.
    """
    lps = grid.to_lps(labels)
    with atomic_folder(folder) as temporary:
        for index in range(grid.count(plane)):
            picture = Image.fromarray(np.ascontiguousarray(cut(lps, plane, index), np.uint8))
            picture.save(temporary / f"{plane}-{index:04d}.png")
