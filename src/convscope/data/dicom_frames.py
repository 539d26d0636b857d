"""DICOM files as pictures, one for each frame; shown as study ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convscope.data.dicom_pixels import decode_frame, shown_frame
from convscope.data.dicom_read import open_dicom
from convscope.data.dicom_series import SeriesFile, read_series_file
from convscope.data.greys import given_greys
from convscope.data.medical_files import MedicalFile
from convscope.data.privacy import StudyNames
from convscope.data.regular import read_regular
from convscope.data.stored import with_channels
from convscope.errors import DataError, PictureError
from convscope.records.samples import Picture, SetAside

NOT_DECLARED = "burned-in words not declared: the file does not say whether its pixels hold a name or a date; look"
DECLARED = "burned-in words declared (0028,0301): its pixels may hold a name or a date"
_LIKELY_BURNED = ("US", "SC", "XA", "OT", "RF", "ES")


@dataclass(frozen=True, eq=False)
class FramesSource:
    """Frames of DICOM files; a PictureSource.

    Attributes:
        root: the data folder; never shown.
        files: relative to it; never shown.
        frames: which frame of each file.
        keys: study ids, with "/frame-0003" where a file holds several.
        warnings: for each picture what its header says of burned-in words, "" where it says that there are none.
        window: values of black and white, or None; see `greys`.
    """

    root: Path
    files: tuple[str, ...]
    frames: tuple[int, ...]
    keys: Sequence[str]
    warnings: tuple[str, ...]
    window: tuple[float, float] | None = None

    def __len__(self) -> int:
        """How many pictures."""
        return len(self.files)

    def file_of(self, index: int) -> Path:
        """Where picture `index` lies; for the terminal of its owner only (--show-paths)."""
        return self.root / self.files[index]

    def read(self, index: int, channels: int, at_least_hw: tuple[int, int] | None = None) -> Picture:
        """One frame as float32 in 0..255, never reduced; DICOM has no EXIF turn."""
        key = self.keys[index]
        found = open_dicom(read_regular(self.file_of(index), key=key), key)
        frame = decode_frame(found, self.frames[index], key)
        values, notes = shown_frame(frame, None if self.window is None else given_greys(*self.window))
        more = (self.warnings[index],) if self.warnings[index] else ()
        hw = (int(values.shape[0]), int(values.shape[1]))
        return Picture(with_channels(values, channels), hw, (*notes, *more))

    def subset(self, indices: np.ndarray) -> FramesSource:
        """The same files restricted to these pictures, in this order."""
        chosen = [int(i) for i in indices]
        return FramesSource(
            self.root,
            tuple(self.files[i] for i in chosen),
            tuple(self.frames[i] for i in chosen),
            tuple(self.keys[i] for i in chosen),
            tuple(self.warnings[i] for i in chosen),
            self.window,
        )


def frames_of_files(
    root: Path,
    files: Sequence[MedicalFile],
    window: tuple[float, float] | None,
    names: StudyNames,
    allow_burned_in: bool,
) -> tuple[FramesSource, list[str], list[str], list[SetAside]]:
    """Read all headers.

    Returns:
        The source; for each picture its file's key and its group; what was left out.

    Raises:
        DataError: no file is left.
    """
    rows: list[tuple[str, int, str, str, str]] = []
    left: list[SetAside] = []
    for file in files:
        try:
            said = read_series_file(root / file.key, file.name)
        except PictureError as error:
            left.append(SetAside(file.name, error.reason))
            continue
        if said.burned_in == "YES" and not allow_burned_in:
            left.append(SetAside(file.name, f"{DECLARED}; look at it, then allow_burned_in takes it"))
            continue
        group, warning = group_of(said, file, names), burned_in_words(said)
        several = said.frames > 1
        rows += [
            (file.key, i, f"{file.name}/frame-{i:04d}" if several else file.name, group, warning)
            for i in range(said.frames)
        ]
    if not rows:
        first = f"; the first, {left[0].key}: {left[0].reason}" if left else ""
        raise DataError(f"expected DICOM files with pictures, found none of {len(files)}{first}")
    columns = list(zip(*rows))
    source = FramesSource(root, columns[0], columns[1], columns[2], columns[4], window)
    return source, list(columns[0]), list(columns[3]), left


def group_of(said: SeriesFile, file: MedicalFile, names: StudyNames) -> str:
    """The patient as a keyed hash; without PatientID the study, without that the file itself."""
    if said.patient:
        return names.of("patient", said.patient)
    return names.of("patient", f"study {said.study}") if said.study else file.name


def burned_in_words(said: SeriesFile) -> str:
    """What to say of words in the pixels, "" where the file denies them."""
    if said.burned_in == "YES":
        return DECLARED
    if said.burned_in == "NO":
        return ""
    likely = f"; {said.modality} pictures often hold such words" if said.modality in _LIKELY_BURNED else ""
    return NOT_DECLARED + likely
