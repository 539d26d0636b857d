"""Whole volumes without truth, which somebody wants segmented: NIfTI, NRRD, and DICOM files joined to their series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from convscope.arrays.orientation import Grid
from convscope.data.dicom_frames import DECLARED
from convscope.data.dicom_series import SeriesFile, read_series_file, series_order
from convscope.data.medical import Slicing, header_of, medical_pictures
from convscope.data.medical_files import MedicalFile, medical_kind, medical_walk
from convscope.data.privacy import StudyNames, study_names
from convscope.data.slices import SlicesSource, VolumeFile, open_volume
from convscope.errors import DataError, PictureError
from convscope.records.samples import Samples, SetAside


@dataclass(frozen=True, eq=False)
class WholeVolume:
    """One volume of which every slice was looked at.

    Attributes:
        file: where it is, under its study id.
        grid: where its voxels lie.
        members: for each slice of the plane, in order, the index of its picture.
    """

    file: VolumeFile
    grid: Grid
    members: tuple[int, ...]


def read_volumes(paths: Sequence[Path], slicing: Slicing | None = None) -> Samples:
    """Every slice of every volume in one plane, as `read_labelled_volumes` cuts them, without truth.

    DICOM files of one series become one volume; where no series of a folder makes one (single pictures, several
    frames without places), each frame is a picture of its own.

    Raises:
        DataError: nothing that can be read; says why of the first.
        MissingExtraError: the package that reads them is not installed.
    """
    how, names = slicing or Slicing(), study_names()
    root, files, left = _found(paths, names)
    volumes: list[VolumeFile] = []
    grids: list[Grid] = []
    for group in _groups(root, files, left):
        try:
            grid = _grid(root, group, how)
        except PictureError as error:
            left.append(SetAside(group[0][0].name, error.reason))
            continue
        first = group[0][0]
        volumes.append(VolumeFile(first.kind, tuple(root / f.key for f, _ in group), first.name, how.time, how.window))
        grids.append(grid)
    if not volumes:
        if files and all(f.kind == "dicom" for f in files):
            return medical_pictures(paths, slicing)
        first_words = f"; {left[0].key}: {left[0].reason}" if left else ""
        raise DataError(f"expected volumes that can be read, found none{first_words}")
    places = tuple((n, i) for n, grid in enumerate(grids) for i in range(grid.count(how.plane)))
    keys = tuple(f"{volumes[n].name}/{how.plane}-{i:04d}" for n, i in places)
    return Samples(
        pictures=SlicesSource(tuple(volumes), places, how.plane, keys),
        truth=None,
        task="segment",
        classes=(),
        set_aside=tuple(left),
        source=f"DICOM, NIfTI and NRRD volumes, {how.plane} slices; shown as study ids",
    )


def _found(paths: Sequence[Path], names: StudyNames) -> tuple[Path, list[MedicalFile], list[SetAside]]:
    if len(paths) == 1 and paths[0].is_dir():
        found = medical_walk(paths[0], names)
        return paths[0], found.files, list(found.set_aside)
    files, left = [], []
    for path in paths:
        kind = medical_kind(path) if path.is_file() else None
        name = names.of("study", path.name)
        if kind is None:
            left.append(SetAside(name, "not a DICOM, NIfTI or NRRD file"))
        else:
            files.append(MedicalFile(path.as_posix(), kind, name))
    return Path(), files, left


_Group = list[tuple[MedicalFile, SeriesFile | None]]


def _groups(root: Path, files: Sequence[MedicalFile], left: list[SetAside]) -> list[_Group]:
    """DICOM files by folder and series, every other file alone; what can't be read goes to `left`."""
    groups: dict[str, _Group] = {}
    for file in files:
        if file.kind != "dicom":
            groups[file.key] = [(file, None)]
            continue
        try:
            said = read_series_file(root / file.key, file.name)
        except PictureError as error:
            left.append(SetAside(file.name, error.reason))
            continue
        folder = file.key.rpartition("/")[0]
        groups.setdefault(f"{folder}\n{said.series}", []).append((file, said))
    return list(groups.values())


def _grid(root: Path, group: _Group, how: Slicing) -> Grid:
    first = group[0][0]
    said = [s for _, s in group if s is not None]
    if not said:
        return header_of(root, first).grid
    if any(s.burned_in == "YES" for s in said) and not how.allow_burned_in:
        raise PictureError(first.name, DECLARED)
    order, affine = series_order(said, first.name)
    if len(order) < 2:
        raise PictureError(first.name, "expected a series of at least 2 slices for a volume, found 1")
    return Grid((said[0].hw[1], said[0].hw[0], len(order)), affine)


def whole_volumes(samples: Samples) -> tuple[WholeVolume, ...]:
    """The volumes of which these samples hold every slice of their plane; none where pictures are no slices."""
    source = samples.pictures
    if not isinstance(source, SlicesSource):
        return ()
    found = []
    for number, file in enumerate(source.files):
        at = {place: i for i, (n, place) in enumerate(source.places) if n == number}
        grid = open_volume(file).grid
        if at and all(place in at for place in range(grid.count(source.plane))):
            found.append(WholeVolume(file, grid, tuple(at[p] for p in range(grid.count(source.plane)))))
    return tuple(found)
