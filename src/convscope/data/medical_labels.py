"""Volumes beside label volumes: slices with masks, one case at a time matched, checked and cut."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from convscope.arrays.orientation import Grid
from convscope.data.dicom_frames import DECLARED, group_of
from convscope.data.dicom_series import read_series_file, series_order
from convscope.data.label_map import LabelMap, find_label_map, is_void
from convscope.data.medical import Slicing, header_of, patient_of
from convscope.data.medical_files import MedicalFile, medical_walk
from convscope.data.privacy import StudyNames, study_names
from convscope.data.slices import SliceMask, SlicesSource, VolumeFile, open_volume
from convscope.errors import DataError, PictureError
from convscope.records.masks import VOID
from convscope.records.samples import Samples, SetAside

_PICTURES = re.compile(r"^(images?|imagestr|imgs?|volumes?|scans?)$", re.IGNORECASE)
_LABELS = re.compile(r"^(labels?|labelstr|masks?|segmentations?|segs?|gt)$", re.IGNORECASE)
_ENDING = re.compile(r"[ _\-.]*(image|img|volume|scan|label|labels|mask|seg|segmentation|gt)$", re.IGNORECASE)
_LABEL_ENDING = re.compile(r"[ _\-.]*(label|labels|mask|seg|segmentation|gt)$", re.IGNORECASE)
_CHANNEL = re.compile(r"_(\d{4})$")


@dataclass(frozen=True)
class Case:
    """A picture volume (of a DICOM series all files) and its label volume."""

    picture: tuple[MedicalFile, ...]
    label: MedicalFile


def read_labelled_volumes(root: Path, slicing: Slicing | None = None) -> Samples:
    """Volumes with label volumes as samples of task segment, one for each slice of the plane.

    Layouts: images/ and labels/ (imagesTr/ and labelsTr/) with files of the same name (nnU-Net's channel 0000 is
    taken); or NAME_image beside NAME_label in one folder. A picture may be a DICOM series in a folder of its name.
    Classes: a label map in the data folder (labels.csv name,value or dataset.json), else the values that the labels
    hold, 0 first. A label must lie on its picture's grid.

    Raises:
        DataError: no such pair, or label values that can't be classes.
        MissingExtraError: the package that reads them is not installed.
    """
    how, names = slicing or Slicing(), study_names()
    found = medical_walk(root, names)
    cases, left = match_cases(found.files)
    left = [*found.set_aside, *left]
    if not cases:
        first = f"; {left[0].key}: {left[0].reason}" if left else ""
        raise DataError(f"expected volumes with label volumes of the same name in the data folder, found none{first}")
    opened = []
    for case in cases:
        try:
            opened.append(_opened(root, case, how, names))
        except PictureError as error:
            left.append(SetAside(case.picture[0].name, error.reason))
    if not opened:
        raise DataError(f"expected volumes and labels that can be read, found none; {left[-1].key}: {left[-1].reason}")
    return _samples(opened, _labels(root, opened), how, left)


def match_cases(files: Sequence[MedicalFile]) -> tuple[list[Case], list[SetAside]]:
    """Pairs by name, and what has no partner or is a further channel."""
    pictures: dict[str, list[MedicalFile]] = {}
    labels: dict[str, list[MedicalFile]] = {}
    left = []
    for file in files:
        folders = PurePosixPath(file.key).parts[:-1]
        is_label = any(_LABELS.match(f) for f in folders) or (
            not any(_PICTURES.match(f) for f in folders) and bool(_LABEL_ENDING.search(file.stem))
        )
        channel = _CHANNEL.search(file.stem)
        if channel and not is_label and int(channel[1]) > 0:
            left.append(SetAside(file.name, f"channel {int(channel[1])}; the first channel is read"))
            continue
        (labels if is_label else pictures).setdefault(_case_name(file, is_label), []).append(file)
    cases = []
    for name, group in pictures.items():
        partner = labels.pop(name, [])
        several = len(group) > 1 and {f.kind for f in group} != {"dicom"}
        if len(partner) != 1 or several:
            word = "several volumes of one name" if several else f"{len(partner) or 'no'} label of its name"
            left.append(SetAside(group[0].name, word))
        else:
            cases.append(Case(tuple(group), partner[0]))
    left += [SetAside(f.name, "a label without a volume of its name") for group in labels.values() for f in group]
    return cases, left


def _case_name(file: MedicalFile, is_label: bool) -> str:
    if file.kind == "dicom" and not is_label:
        return PurePosixPath(file.key).parent.name.lower()
    stem = file.stem if is_label else _CHANNEL.sub("", file.stem)
    return _ENDING.sub("", stem) or stem


@dataclass(frozen=True, eq=False)
class _Open:
    picture: VolumeFile
    label: VolumeFile
    group: str
    grid: Grid


def _opened(root: Path, case: Case, how: Slicing, names: StudyNames) -> _Open:
    first = case.picture[0]
    if first.kind == "dicom":
        said = [read_series_file(root / f.key, first.name) for f in case.picture]
        if any(s.burned_in == "YES" for s in said) and not how.allow_burned_in:
            raise PictureError(first.name, DECLARED)
        order, affine = series_order(said, first.name)
        grid, group = Grid((said[0].hw[1], said[0].hw[0], len(order)), affine), group_of(said[0], first, names)
    else:
        grid, group = header_of(root, first).grid, patient_of(first, names)
    label = header_of(root, case.label)
    if label.values.ndim != 3:
        raise PictureError(case.label.name, "a label of several times; expected one")
    gap = _lies_elsewhere(grid, label.grid)
    if gap:
        raise PictureError(case.label.name, f"the label does not lie on its volume's grid: {gap}")
    picture = VolumeFile(first.kind, tuple(root / f.key for f in case.picture), first.name, how.time, how.window)
    return _Open(
        picture, VolumeFile(case.label.kind, (root / case.label.key,), case.label.name, 0, (0, 1)), group, grid
    )


def _lies_elsewhere(one: Grid, other: Grid) -> str:
    """Why two grids differ in the patient's axes, or ""."""
    sizes = [tuple(grid.shape[axis] for axis in grid.turns[0]) for grid in (one, other)]
    if sizes[0] != sizes[1]:
        return f"{' x '.join(map(str, sizes[1]))} voxels against {' x '.join(map(str, sizes[0]))}"
    corners = []
    for grid in (one, other):
        flips = grid.turns[1]
        ends = np.array(np.meshgrid(*[(0, 1)] * 3, indexing="ij")).reshape(3, -1).T
        at = np.where(np.array(flips), 1 - ends, ends) * (np.array(sizes[0]) - 1)
        own = np.empty_like(at, dtype=np.float64)
        own[:, list(grid.turns[0])] = at
        corners.append(own @ grid.affine[:3, :3].T + grid.affine[:3, 3])
    apart = float(np.abs(corners[0] - corners[1]).max())
    return f"corners lie {apart:.3g} mm apart" if apart > 0.5 * min(one.spacing_mm) else ""


def _labels(root: Path, opened: Sequence[_Open]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """(class names, value of each)."""
    given = find_label_map((root,))
    if given is not None:
        return _of_map(given)
    values: set[float] = {0.0}
    for case in opened:
        values |= set(np.unique(open_volume(case.label).lps).astype(float).tolist())
    whole = sorted(int(v) for v in values if v == int(v) and v >= 0)
    if len(whole) < len(values):
        raise DataError("expected labels of whole numbers from 0, found others; check which file is the label")
    whole = [v for v in whole if not (v == VOID and len(whole) > 2)]
    if not 2 <= len(whole) <= VOID - 1:
        raise DataError(f"expected 1 to {VOID - 2} labels beside the background, found {len(whole) - 1}")
    return ("background", *(f"label {v}" for v in whole[1:])), tuple(whole)


def _of_map(given: LabelMap) -> tuple[tuple[str, ...], tuple[int, ...]]:
    if given.is_colour:
        raise DataError(f"{given.where}: expected name,value for label volumes, got colours")
    kept = [(name, value) for name, value in given.entries if not is_void(name)]
    if len(kept) > VOID - 1:
        raise DataError(f"{given.where}: expected at most {VOID - 1} classes, got {len(kept)}")
    return tuple(n for n, _ in kept), tuple(v for _, v in kept)


def _samples(
    opened: Sequence[_Open], labels: tuple[tuple[str, ...], tuple[int, ...]], how: Slicing, left: list[SetAside]
) -> Samples:
    classes, values = labels
    entries, masks, groups = [], [], []
    for number, case in enumerate(opened):
        lps = open_volume(case.label).lps if how.only_marked else None
        for place in range(case.grid.count(how.plane)):
            mask = SliceMask(case.label, how.plane, place, values, _hw(case.grid, how))
            if lps is not None and not mask.read().any():
                continue
            entries.append((number, place))
            masks.append(mask)
            groups.append(case.group)
    if not masks:
        raise DataError("expected slices with labels, found none marked")
    truth = np.empty(len(masks), object)
    truth[:] = masks
    files = tuple(case.picture for case in opened)
    keys = tuple(f"{files[n].name}/{how.plane}-{i:04d}" for n, i in entries)
    return Samples(
        pictures=SlicesSource(files, tuple(entries), how.plane, keys),
        truth=truth,
        task="segment",
        classes=classes,
        groups=tuple(groups),
        set_aside=tuple(left),
        source=f"volumes with label volumes, {how.plane} slices; shown as study ids",
    )


def _hw(grid: Grid, how: Slicing) -> tuple[int, int]:
    left, back, top = (grid.shape[axis] for axis in grid.turns[0])
    return {"axial": (back, left), "coronal": (top, left), "sagittal": (top, back)}[how.plane]


def spacing_of(samples: Samples) -> tuple[tuple[float, float], ...] | None:
    """Size (vertical, horizontal) in mm of a pixel of each picture, where the pictures are slices of volumes."""
    source = samples.pictures
    if not isinstance(source, SlicesSource):
        return None
    sizes = [open_volume(file).grid.pixel_mm(source.plane) for file in source.files]
    return tuple(sizes[number] for number, _ in source.places)


def cases_of(samples: Samples) -> tuple[str, ...] | None:
    """The volume that each picture is a slice of, as its study id; None where pictures are no slices."""
    source = samples.pictures
    if not isinstance(source, SlicesSource):
        return None
    return tuple(source.files[number].name for number, _ in source.places)
