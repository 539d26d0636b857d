"""Folders of DICOM, NIfTI and NRRD: slices as pictures for classification, slices with labels for segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from convscope.arrays.orientation import PLANES, Plane
from convscope.data.dicom_frames import FramesSource
from convscope.data.folder import PARTS
from convscope.data.medical_files import MedicalFile, MedicalFound, medical_kind, medical_walk, subject_of
from convscope.data.nifti import read_nifti
from convscope.data.nrrd_file import read_nrrd
from convscope.data.privacy import StudyNames, study_names
from convscope.data.slices import SlicesSource, VolumeFile
from convscope.data.volume import Volume
from convscope.errors import DataError, PictureError
from convscope.records.samples import Samples, SetAside
from convscope.registry import nearest


@dataclass(frozen=True)
class Slicing:
    """How volumes become pictures.

    Attributes:
        plane: "axial", "coronal" or "sagittal", by the patient's axes whatever the file's.
        window: values that become black and white; None: DICOM files' own window, else 0.5 to 99.5 percentile
            (volumes: of the whole volume).
        time: which time of a 4-D volume, from 0.
        only_marked: segmentation: leave out slices whose label is background everywhere.
        allow_burned_in: take DICOM files that say that words are burned into their pixels.
    """

    plane: Plane = "axial"
    window: tuple[float, float] | None = None
    time: int = 0
    only_marked: bool = False
    allow_burned_in: bool = False

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            DataError: an unknown plane, or a window that is none.
        """
        if self.plane not in PLANES:
            raise DataError(
                f"expected a plane of {', '.join(PLANES)}, got {self.plane!r}; {nearest(self.plane, PLANES)}"
            )
        if self.window is not None and not self.window[0] < self.window[1]:
            raise DataError(f"expected a window from a lower to a higher value, got {self.window}")


def read_medical(root: Path, slicing: Slicing | None = None) -> Samples:
    """Class folders of medical files for classification; a folder without class folders is read without truth.

    DICOM files are taken frame by frame, NIfTI and NRRD slice by slice. Every picture is shown as a study id; pictures
    of one patient (DICOM's PatientID, BIDS' sub-..., else the study or volume) form a group that splits keep together.
    train/, val/ and test/ above the class folders give the split.

    Raises:
        DataError: no medical file, DICOM mixed with volumes, or one class only.
        MissingExtraError: the package that reads them is not installed.
    """
    how, names = slicing or Slicing(), study_names()
    found = medical_walk(root, names)
    kinds = {f.kind for f in found.files}
    if not kinds:
        raise DataError(f"expected DICOM, NIfTI or NRRD files in the data folder, found none{_first(found.set_aside)}")
    if "dicom" in kinds and len(kinds) > 1:
        raise DataError("expected DICOM files or volumes (NIfTI, NRRD) in the data folder, found both; part them")
    parts, labels = _places(found.files)
    if kinds == {"dicom"}:
        return _framed(root, found, how, names, (parts, labels))
    return _sliced(root, found, how, names, (parts, labels))


def medical_pictures(paths: Sequence[Path], slicing: Slicing | None = None) -> Samples:
    """Medical files, or one folder of them, without truth: what somebody wants predicted.

    A file is shown as a hash of its name, a folder's files as in `read_medical`.

    Raises:
        DataError: files of several kinds, or none that can be read.
        MissingExtraError: the package that reads them is not installed.
    """
    if len(paths) == 1 and paths[0].is_dir():
        return replace(read_medical(paths[0], slicing), truth=None, classes=(), given_split=None)
    how, names = slicing or Slicing(), study_names()
    files = [MedicalFile(p.as_posix(), kind, names.of("study", p.name)) for p in paths if (kind := medical_kind(p))]
    if len(files) < len(paths) or len({f.kind == "dicom" for f in files}) > 1:
        raise DataError("expected DICOM files only, or volumes (NIfTI, NRRD) only, got several kinds; part them")
    read = _framed if files[0].kind == "dicom" else _sliced
    return read(Path(), MedicalFound(files), how, names, ({}, {}))


def _first(set_aside: Sequence[SetAside]) -> str:
    return f"; the first of {len(set_aside)} others, {set_aside[0].key}: {set_aside[0].reason}" if set_aside else ""


def _places(files: Sequence[MedicalFile]) -> tuple[dict[str, str], dict[str, str]]:
    """File key -> part, and file key -> class folder; empty where there are none."""
    parts, labels = {}, {}
    for file in files:
        folders = list(PurePosixPath(file.key).parts[:-1])
        if folders and folders[0].lower() in PARTS:
            parts[file.key] = PARTS[folders.pop(0).lower()]
        if folders:
            labels[file.key] = folders[0]
    has_classes = len(labels) == len(files) and len(set(labels.values())) > 1
    return (parts if len(parts) == len(files) else {}), (labels if has_classes else {})


_Places = tuple[dict[str, str], dict[str, str]]


def _framed(root: Path, found: MedicalFound, how: Slicing, names: StudyNames, places: _Places) -> Samples:
    """Every frame of every DICOM file."""
    from convscope.data.dicom_frames import frames_of_files

    source, owners, groups, left = frames_of_files(root, found.files, how.window, names, how.allow_burned_in)
    return _samples(source, owners, groups, places, (*found.set_aside, *left), "DICOM, each frame a picture")


def _sliced(root: Path, found: MedicalFound, how: Slicing, names: StudyNames, places: _Places) -> Samples:
    """Every slice of every volume in one plane."""
    files: list[VolumeFile] = []
    entries: list[tuple[int, int]] = []
    owners: list[str] = []
    groups: list[str] = []
    left = list(found.set_aside)
    for file in found.files:
        try:
            count = header_of(root, file).grid.count(how.plane)
        except PictureError as error:
            left.append(SetAside(file.name, error.reason))
            continue
        entries += [(len(files), i) for i in range(count)]
        owners += [file.key] * count
        groups += [patient_of(file, names)] * count
        files.append(VolumeFile(file.kind, (root / file.key,), file.name, how.time, how.window))
    if not files:
        raise DataError(f"expected volumes that can be read, found none of {len(found.files)}{_first(left)}")
    keys = tuple(f"{files[n].name}/{how.plane}-{i:04d}" for n, i in entries)
    source = SlicesSource(tuple(files), tuple(entries), how.plane, keys)
    words = f"NIfTI and NRRD volumes, {how.plane} slices"
    return _samples(source, owners, groups, places, tuple(left), words)


def header_of(root: Path, file: MedicalFile) -> Volume:
    """The grid of a NIfTI or NRRD volume, without its voxels.

    Raises:
        PictureError: it can't be read.
    """
    path = root / file.key
    if file.kind == "nrrd":
        return read_nrrd(path, file.name, header_only=True)
    if path.suffix.lower() == ".hdr" and not path.with_suffix(".img").is_file():
        raise PictureError(file.name, "a .hdr without its .img beside it (of the same name); put both there")
    return read_nifti(path, file.name, header_only=True)


def patient_of(file: MedicalFile, names: StudyNames) -> str:
    """The group of a volume: its BIDS subject, else the volume itself."""
    subject = subject_of(file.key)
    return names.of("patient", subject) if subject else file.name


def _samples(
    source: FramesSource | SlicesSource,
    owners: Sequence[str],
    groups: Sequence[str],
    places: _Places,
    set_aside: tuple[SetAside, ...],
    words: str,
) -> Samples:
    parts, labels = places
    classes = tuple(sorted(set(labels.values())))
    truth = np.array([classes.index(labels[key]) for key in owners], np.int64) if classes else None
    return Samples(
        pictures=source,
        truth=truth,
        task="classify",
        classes=classes,
        groups=tuple(groups),
        given_split=tuple(parts[key] for key in owners) if parts else None,
        set_aside=set_aside,
        source=f"{words}; shown as study ids",
    )
