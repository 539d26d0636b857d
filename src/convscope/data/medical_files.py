"""Find DICOM, NIfTI and NRRD files below a folder and name them without saying where they lie."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath

from convscope.data.dicom_read import is_dicom
from convscope.data.formats import has_picture_suffix
from convscope.data.privacy import StudyNames
from convscope.data.slices import VolumeKind
from convscope.data.walking import children
from convscope.errors import DataNotFoundError
from convscope.records.samples import SetAside

_SUFFIXES: dict[str, VolumeKind] = {
    ".dcm": "dicom", ".dicom": "dicom", ".ima": "dicom", ".nii": "nifti", ".nii.gz": "nifti", ".hdr": "nifti",
    ".nrrd": "nrrd", ".nhdr": "nrrd",
}  # fmt: skip
_SUBJECT = re.compile(r"(?:^|[/_\-])(sub-[A-Za-z0-9]+)")
_HEAD_BYTES = 132
_LOOKED_AT = 1000


@dataclass(frozen=True)
class MedicalFile:
    """One file: its key relative to the data folder (never shown), how it is read, and the name it is shown under."""

    key: str
    kind: VolumeKind
    name: str

    @property
    def stem(self) -> str:
        """File name without suffix, folded to lower case."""
        name = PurePosixPath(self.key).name.lower()
        return name[: -len(suffix_of(name))] if suffix_of(name) else name


@dataclass
class MedicalFound:
    """What `medical_walk` met."""

    files: list[MedicalFile] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)


def suffix_of(name: str) -> str:
    """The suffix that says how a file is read (".nii.gz"), or ""."""
    lower = name.lower()
    return next((s for s in sorted(_SUFFIXES, key=len, reverse=True) if lower.endswith(s)), "")


def has_medical(root: Path) -> bool:
    """Whether DICOM, NIfTI and NRRD files outnumber ordinary pictures among the first 1,000 files below a folder.

    They are told by their suffix, by their content where they have none.
    """
    seen = list(islice(_below(root), _LOOKED_AT))
    return sum(kind is not None for _, kind in seen) > sum(has_picture_suffix(key) for key, _ in seen)


def medical_kind(path: Path) -> VolumeKind | None:
    """How one file would be read, or None for another kind of file."""
    return _kind(str(path), path.name)


def medical_walk(root: Path, names: StudyNames, *, below: str = "") -> MedicalFound:
    """All medical files below `root/below`, in natural order; other files are set aside under their hashed names."""
    found = MedicalFound()
    for key, kind in _below(root, below):
        name = names.of("study", key)
        if kind:
            found.files.append(MedicalFile(key, kind, name))
        else:
            found.set_aside.append(SetAside(name, "not a DICOM, NIfTI or NRRD file"))
    _refuse_pairs(found)
    return found


def subject_of(key: str) -> str:
    """The BIDS subject that a path names ("sub-01"), or ""."""
    match = _SUBJECT.search(key)
    return match[1] if match else ""


def _below(root: Path, below: str = "") -> Iterable[tuple[str, VolumeKind | None]]:
    real_root = os.path.realpath(root)
    pending = [below]
    while pending:
        here = pending.pop()
        folders = []
        try:
            entries = children(root / here if here else root)
        except DataNotFoundError:
            if here == below:
                raise
            continue
        for entry in entries:
            key = f"{here}/{entry.name}" if here else entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append(key)
                continue
            inside = not entry.is_symlink() or os.path.realpath(entry.path).startswith(real_root + os.sep)
            if inside and entry.is_file() and not key.lower().endswith(".img"):
                yield key, _kind(entry.path, entry.name)
        pending.extend(reversed(folders))


def _kind(path: str, name: str) -> VolumeKind | None:
    suffix = suffix_of(name)
    if suffix:
        return _SUFFIXES[suffix]
    if PurePosixPath(name).suffix and not PurePosixPath(name).suffix[1:].isdecimal():
        return None  # DICOM without a suffix has none, or ends in numbers, as UIDs do
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return None
    return "dicom" if len(head) == _HEAD_BYTES and is_dicom(head) else None


def _refuse_pairs(found: MedicalFound) -> None:
    """One case as .nii and as .nii.gz: nobody knows which is meant; a .hdr without its .img is left to the reader."""
    seen: dict[str, list[MedicalFile]] = {}
    for file in found.files:
        if file.kind == "nifti":
            base = file.key[: -len(suffix_of(file.key))]
            seen.setdefault(base, []).append(file)
    for twins in seen.values():
        if len(twins) > 1:
            words = " and ".join(t.name for t in twins)
            found.set_aside += [SetAside(t.name, f"one case in two files, {words}; keep one") for t in twins]
            found.files = [f for f in found.files if f not in twins]
