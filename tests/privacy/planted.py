"""DICOM, NIfTI and NRRD files full of words that must never be seen again."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

LEAST_TAGS = 150
_WORDS = ("LO", "PN", "SH", "LT", "ST", "UT", "UC", "AE", "DA", "DT", "TM", "CS")
# what the pixels are, not whose: the reader has to understand these
_NEEDED = {
    *(
        "PatientID",
        "PhotometricInterpretation",
        "SpecificCharacterSet",
        "BurnedInAnnotation",
        "Modality",
        "PixelPresentation",
    ),
    *("VOILUTFunction", "PresentationLUTShape", "RescaleType", "LossyImageCompression"),
}


def planted_dicom(path: Path, number: int, *, patient: int = 0) -> list[str]:
    """Write one file; returns the markers planted: standard, private and nested tags, file meta, overlays, its name."""
    from pydicom import config
    from pydicom.datadict import DicomDictionary
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.sequence import Sequence
    from pydicom.tag import Tag

    markers: list[str] = []

    def word(kind: str = "") -> str:
        markers.append(f"ZQ{kind}{number:02d}x{len(markers):04d}KW")
        return markers[-1]

    before = config.settings.writing_validation_mode
    config.settings.writing_validation_mode = config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            meta = FileMetaDataset()
            meta.TransferSyntaxUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.1.2.1", _uid(number, 0, markers)
            meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
            meta.SourceApplicationEntityTitle = word("m")
            made = FileDataset(str(path), {}, file_meta=meta, preamble=word("pre").encode().ljust(128, b"\0"))
            for tag, (vr, _vm, _name, _, keyword) in sorted(DicomDictionary.items()):
                group = tag >> 16
                if (
                    vr in _WORDS
                    and keyword
                    and keyword not in _NEEDED
                    and group not in (0x0000, 0x0002, 0x0004)
                    and len(made) < 260
                ):
                    made.add_new(Tag(tag), vr, word())
            made.PatientID = f"ZQpatient{patient:04d}KW"
            markers.append(made.PatientID)
            made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
            made.StudyInstanceUID, made.SeriesInstanceUID = _uid(number, 1, markers), _uid(number, 2, markers)
            block = made.private_block(0x0099, word("priv"), create=True)
            for element in range(20):
                block.add_new(element, "LO", word("p"))
            inner = Dataset()
            for level in range(5):
                inner.PatientComments, inner.OperatorsName = word(f"s{level}"), word(f"s{level}")
                outer = Dataset()
                outer.ReferencedStudySequence = Sequence([inner])
                inner = outer
            made.RequestAttributesSequence = Sequence([inner])
            made.add_new(0x60001500, "LO", word("ov"))
            made.add_new(0x60000022, "LO", word("ov"))
            pixels = np.random.default_rng(number).integers(0, 4000, (24, 24)).astype("<u2")
            made.Rows, made.Columns, made.BitsAllocated, made.BitsStored, made.HighBit = 24, 24, 16, 12, 11
            made.PixelRepresentation, made.SamplesPerPixel, made.PhotometricInterpretation = 0, 1, "MONOCHROME2"
            made.Modality, made.PixelData = "MR", pixels.tobytes()
            path = path.with_name(f"{path.stem}-{word('file')}{path.suffix}")
            path.parent.mkdir(parents=True, exist_ok=True)
            made.save_as(path, enforce_file_format=True)
    finally:
        config.settings.writing_validation_mode = before
    return markers


def _uid(number: int, kind: int, markers: list[str]) -> str:
    markers.append(f"1.2.826.0.1.{9310000 + number}.{kind}.77123")
    return markers[-1]


def planted_nifti(path: Path, number: int, values: np.ndarray) -> list[str]:
    """Write one file with words in every text field of its header, in an extension, and in its name."""
    import nibabel

    markers = [f"ZQn{number:02d}{k}KW" for k in ("descrip", "aux", "intent", "db", "ext", "name")]
    image = nibabel.Nifti1Image(values, np.eye(4))
    for field, marker in zip(("descrip", "aux_file", "intent_name", "db_name"), markers):
        image.header[field] = marker
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", markers[4].encode()))
    path = path.with_name(f"{markers[5]}_{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
    return markers


def planted_nrrd(path: Path, number: int, values: np.ndarray) -> list[str]:
    """Write one file with words in its header's own fields and in its name."""
    import nrrd

    markers = [f"ZQr{number:02d}{k}KW" for k in ("content", "key", "name")]
    path = path.with_name(f"{markers[2]}_{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    nrrd.write(str(path), values, {"content": markers[0], "patient": markers[1]})
    return markers
