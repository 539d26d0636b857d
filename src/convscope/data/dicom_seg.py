"""Labels of a volume as one DICOM Segmentation file (SEG), in the geometry of the volume.

Written with pydicom alone: highdicom would be a second large dependency for one kind of file. Nothing of the source's
words goes along, its UIDs neither; viewers place the segments by position and orientation.

Source: DICOM PS3.3, A.51 (Segmentation IOD, type BINARY) and C.8.20.2.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from convscope.arrays.orientation import Grid
from convscope.data.dicom_read import pydicom_module, unheard
from convscope.errors import DataError
from convscope.files.atomic import write_bytes

_SEG_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"
_FRAME_FACTS = (0x0020, 0x9113), (0x0062, 0x000A)  # PlanePosition, SegmentIdentification: the functional groups
_MOST_WORDS = 64  # characters of a DICOM long string


def write_dicom_seg(path: Path, labels: np.ndarray, grid: Grid, *, classes: Sequence[str], study: str) -> None:
    """Write (x, y, z) labels as a SEG file: one segment for each class but the first, empty frames left out.

    Args:
        path: the file.
        labels: (x, y, z) uint8 class index in the volume's own order; its third axis steps through the slices.
        grid: of the volume.
        classes: names in index order; the first is the background and gets no segment.
        study: the study id, which stands for patient and study.

    Raises:
        DataError: labels that do not fit the grid or hold no class but the background.
        StorageError: the file can't be written.
        MissingExtraError: pydicom is not installed.
    """
    if labels.shape != grid.shape:
        raise DataError(f"expected labels of shape {grid.shape}, got {labels.shape}")
    frames = [
        (number, index)
        for number in range(1, len(classes))
        for index in range(labels.shape[2])
        if (labels[:, :, index] == number).any()
    ]
    if not frames:
        raise DataError(f"expected a class besides {classes[0]!r} somewhere, found none; a SEG file can't be empty")
    with unheard():
        made = _header(study)
        _describe(made, grid, labels.shape, classes, frames)
        bits = np.concatenate([np.equal(labels[:, :, z].T, number).ravel() for number, z in frames])
        data = np.packbits(bits, bitorder="little").tobytes()
        made.PixelData = data + b"\0" * (len(data) % 2)
        stream = io.BytesIO()
        pydicom_module().dcmwrite(stream, made, enforce_file_format=True)
    write_bytes(path, stream.getvalue())


def _header(study: str) -> Any:
    pydicom = pydicom_module()
    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = _SEG_STORAGE
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = _uid(f"{study}/seg")
    made.StudyInstanceUID, made.SeriesInstanceUID = _uid(f"{study}/study"), _uid(f"{study}/seg-series")
    made.FrameOfReferenceUID, made.PositionReferenceIndicator = _uid(f"{study}/frame"), ""
    made.PatientName = made.PatientID = study
    made.PatientBirthDate = made.PatientSex = made.StudyDate = made.StudyTime = ""
    made.ReferringPhysicianName = made.StudyID = made.AccessionNumber = ""
    made.Modality, made.SeriesNumber, made.InstanceNumber = "SEG", 1, 1
    made.SeriesDescription = made.ContentDescription = "masks by convscope, not a medical device"
    made.ContentLabel, made.ContentCreatorName = "MASKS", "convscope"
    made.ContentDate, made.ContentTime = "19700101", "000000"  # required; the day of writing would tell something
    made.ImageType = ["DERIVED", "PRIMARY"]
    made.Manufacturer, made.ManufacturerModelName = "convscope", "convscope"
    made.DeviceSerialNumber, made.SoftwareVersions = "none", version("convscope")
    made.BurnedInAnnotation, made.LossyImageCompression = "NO", "00"
    made.SegmentationType, made.SamplesPerPixel, made.PhotometricInterpretation = "BINARY", 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 1
    made.HighBit = made.PixelRepresentation = 0
    made.SegmentsOverlap = "NO"
    return made


def _describe(
    made: Any, grid: Grid, shape: tuple[int, ...], classes: Sequence[str], frames: list[tuple[int, int]]
) -> None:
    """Segments, geometry and what each frame is."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine
    sizes = grid.spacing_mm
    made.Columns, made.Rows, made.NumberOfFrames = shape[0], shape[1], len(frames)
    made.SegmentSequence = [_segment(n, classes[n]) for n in sorted({number for number, _ in frames})]
    organisation = _uid(f"{made.PatientID}/dimensions")
    made.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=organisation)]
    segment, place = (0x0062, 0x000B), (0x0020, 0x0032)  # ReferencedSegmentNumber, ImagePositionPatient
    made.DimensionIndexSequence = [
        _item(DimensionOrganizationUID=organisation, DimensionIndexPointer=pointer, FunctionalGroupPointer=group)
        for pointer, group in ((segment, _FRAME_FACTS[1]), (place, _FRAME_FACTS[0]))
    ]
    measures = _item(
        PixelSpacing=[_decimal(sizes[1]), _decimal(sizes[0])],
        SliceThickness=_decimal(sizes[2]),
        SpacingBetweenSlices=_decimal(sizes[2]),
    )
    directions = [_decimal(v) for axis in (0, 1) for v in lps[:3, axis] / sizes[axis]]
    shared = _item(PixelMeasuresSequence=[measures])
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=directions)]
    made.SharedFunctionalGroupsSequence = [shared]
    used = sorted({z for _, z in frames})
    order = {number: i + 1 for i, number in enumerate(sorted({number for number, _ in frames}))}
    made.PerFrameFunctionalGroupsSequence = [
        _item(
            FrameContentSequence=[_item(DimensionIndexValues=[order[number], used.index(z) + 1])],
            PlanePositionSequence=[_item(ImagePositionPatient=[_decimal(v) for v in (lps @ [0, 0, z, 1])[:3]])],
            SegmentIdentificationSequence=[_item(ReferencedSegmentNumber=order[number])],
        )
        for number, z in frames
    ]
    for number, segment_item in zip(sorted(order), made.SegmentSequence, strict=True):
        segment_item.SegmentNumber = order[number]


def _segment(number: int, name: str) -> Any:
    tissue = {"CodeValue": "85756007", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Tissue"}
    return _item(
        SegmentNumber=number,
        SegmentLabel=name[:_MOST_WORDS],
        SegmentAlgorithmType="AUTOMATIC",
        SegmentAlgorithmName="convscope",
        SegmentedPropertyCategoryCodeSequence=[_item(**tissue)],
        SegmentedPropertyTypeCodeSequence=[_item(**tissue)],
    )


def _item(**facts: Any) -> Any:
    """A nested data set of these elements, by their DICOM keywords."""
    made = pydicom_module().Dataset()
    for name, value in facts.items():
        setattr(made, name, value)
    return made


def _decimal(value: float) -> str:
    """A DICOM decimal string: 16 characters at most."""
    return next(text for digits in range(15, 0, -1) if len(text := f"{value:.{digits}g}") <= 16)


def _uid(name: str) -> str:
    """The same UID for the same name."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, name).int}"
