"""Slices of a DICOM series put in order in space, or refused by name when they do not make one volume."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convscope.data.dicom_pixels import decode_frame, frames_of, functional_group
from convscope.data.dicom_read import PARSER_ERRORS, open_dicom, unheard
from convscope.data.regular import read_regular
from convscope.data.volume import Volume, checked_grid, checked_shape
from convscope.errors import PictureError

_COSINE, _SHARE = 1e-3, 1e-3  # how far directions and pixel sizes of one series may differ
_UNEVEN = 0.05  # of the gap between slices


@dataclass(frozen=True)
class Plane3D:
    """Where one frame lies: directions of rows and columns (6 cosines), first pixel, (row, column) spacing; mm."""

    directions: tuple[float, ...]
    position: tuple[float, ...]
    spacing: tuple[float, ...]


@dataclass(frozen=True)
class SeriesFile:
    """What a file says of itself; `patient`, `study` and `series` are never shown as they are.

    Attributes:
        hw: rows and columns; frames: how many.
        planes: where each frame lies; empty where some frame does not say.
        number: its InstanceNumber, or None.
        burned_in: BurnedInAnnotation, upper case, "" where absent.
        modality: "MR", "CT", ...
        is_colour: more than one sample per pixel.
    """

    patient: str
    study: str
    series: str
    hw: tuple[int, int]
    frames: int
    planes: tuple[Plane3D, ...]
    number: int | None
    burned_in: str
    modality: str
    is_colour: bool


def read_series_file(path: Path, key: str) -> SeriesFile:
    """Read the header of one file.

    Raises:
        PictureError: see `dicom_read.open_dicom`.
    """
    return _said(open_dicom(read_regular(path, key=key), key, pixels=False), key)


def _said(found: Any, key: str) -> SeriesFile:
    try:
        with unheard():
            frames = frames_of(found)
            planes = [_plane(found, i) for i in range(frames)]
            number = found.get("InstanceNumber")
            return SeriesFile(
                patient=str(found.get("PatientID") or ""),
                study=str(found.get("StudyInstanceUID") or ""),
                series=str(found.get("SeriesInstanceUID") or ""),
                hw=(int(found.Rows), int(found.Columns)),
                frames=frames,
                planes=tuple(p for p in planes if p is not None) if all(planes) else (),
                number=None if number is None or number == "" else int(number),
                burned_in=str(found.get("BurnedInAnnotation") or "").strip().upper(),
                modality=str(found.get("Modality") or "").strip().upper(),
                is_colour=int(found.get("SamplesPerPixel") or 1) > 1,
            )
    except PARSER_ERRORS as error:
        raise PictureError(key, f"damaged DICOM ({type(error).__name__} while reading its header)") from None


def _plane(found: Any, index: int) -> Plane3D | None:
    sources = {
        "ImageOrientationPatient": functional_group(found, index, "PlaneOrientationSequence"),
        "ImagePositionPatient": functional_group(found, index, "PlanePositionSequence"),
        "PixelSpacing": functional_group(found, index, "PixelMeasuresSequence"),
    }
    values = []
    for name, group in sources.items():
        value = (group if group is not None else found).get(name)
        if value is None and name == "PixelSpacing":
            value = found.get("ImagerPixelSpacing")
        if value is None or len(value) != {"ImageOrientationPatient": 6, "ImagePositionPatient": 3}.get(name, 2):
            return None
        values.append(tuple(float(v) for v in value))
    return Plane3D(*values)


def series_order(files: Sequence[SeriesFile], key: str) -> tuple[list[tuple[int, int]], np.ndarray]:
    """The (file, frame) pairs from one end of the volume to the other, and the affine of (column, row, slice).

    Raises:
        PictureError: several patients or series, sizes, directions or spacings that differ, frames that do not say
            where they lie, two at one place or of one number, or a gap: no volume can be made of them.
    """
    _one_of_each(files, key)
    frames = [(f, i) for f, file in enumerate(files) for i in range(file.frames)]
    planes = [files[f].planes[i] for f, i in frames]
    _alike(planes, key)
    row, column = np.array(planes[0].directions[:3]), np.array(planes[0].directions[3:])
    normal = np.cross(row, column)
    if not np.linalg.norm(normal) > 0.9:
        raise PictureError(key, "rows and columns that do not stand upright on each other")
    places = np.array([p.position for p in planes])
    depth = places @ normal
    order = np.argsort(depth, kind="stable")
    gap = _gap(depth[order], key, float(planes[0].spacing[0]))
    _straight(places[order], normal, key, gap)
    affine = np.eye(4)
    affine[:3, 0] = row * planes[0].spacing[1]
    affine[:3, 1] = column * planes[0].spacing[0]
    steps = places[order][-1] - places[order][0]
    affine[:3, 2] = steps / (len(order) - 1) if len(order) > 1 else normal * gap
    affine[:3, 3] = places[order][0]
    affine[:2] *= -1  # LPS+ of DICOM to RAS+
    return [frames[i] for i in order], affine


def _one_of_each(files: Sequence[SeriesFile], key: str) -> None:
    for word, values in (
        ("patients", {f.patient for f in files}),
        ("series", {f.series for f in files}),
        ("picture sizes", {f.hw for f in files}),
    ):
        if len(values) > 1:
            raise PictureError(key, f"slices of {len(values)} {word} in one volume; part them into folders")
    if any(f.is_colour for f in files):
        raise PictureError(key, "a volume in colour; expected grey slices")
    if not all(f.planes for f in files):
        raise PictureError(key, "some slices do not say where they lie (position, direction or pixel spacing absent)")
    numbers = [f.number for f in files if f.number is not None]
    if len(set(numbers)) < len(numbers):
        raise PictureError(key, f"{len(numbers) - len(set(numbers))} slices have the number of another one")


def _alike(planes: Sequence[Plane3D], key: str) -> None:
    directions = np.array(_most([p.directions for p in planes]))
    turned = sum(np.abs(np.subtract(p.directions, directions)).max() > _COSINE for p in planes)
    if turned:
        raise PictureError(key, f"mixed orientation: {turned} of {len(planes)} slices lie in another direction")
    spacing = np.array(_most([p.spacing for p in planes]))
    if not spacing.min() > 0:
        raise PictureError(key, "pixels without a size")
    sized = sum(np.abs(np.array(p.spacing) / spacing - 1).max() > _SHARE for p in planes)
    if sized:
        raise PictureError(key, f"mixed pixel spacing: {sized} of {len(planes)} slices have another one")


def _most(values: list[tuple[float, ...]]) -> tuple[float, ...]:
    """The numbers that most slices share, to three decimals."""
    counted = Counter(tuple(round(v, 3) for v in value) for value in values)
    common = counted.most_common(1)[0][0]
    return next(v for v in values if tuple(round(x, 3) for x in v) == common)


def _gap(depth: np.ndarray, key: str, alone: float) -> float:
    """The even gap between slices, in mm; for a lone slice its pixel spacing."""
    if len(depth) == 1:
        return alone
    gaps = np.diff(depth)
    middle = float(np.median(gaps))
    if middle < 1e-4 or gaps.min() < 1e-4:
        raise PictureError(key, f"{int((gaps < 1e-4).sum())} slices lie at the place of another one")
    uneven = np.abs(gaps - middle) > _UNEVEN * middle
    if uneven.any():
        raise PictureError(
            key, f"uneven gaps: {int(uneven.sum())} of {len(gaps)} are not {middle:.3g} mm; slices are missing"
        )
    return middle


def _straight(places: np.ndarray, normal: np.ndarray, key: str, gap: float) -> None:
    """Slices may be shifted evenly (a tilted gantry), never crookedly."""
    if len(places) < 3:
        return
    ideal = np.linspace(places[0], places[-1], len(places))
    if np.abs(ideal - places).max() > max(_UNEVEN * gap * len(places), 0.1 * gap):
        raise PictureError(key, "slices that do not lie on one line")


def read_series(paths: Sequence[Path], key: str) -> Volume:
    """Read a series, in any order of its files, as one volume of rescaled values (Hounsfield units in CT).

    Raises:
        PictureError: see `series_order`; or a slice that can't be decoded.
    """
    files, frames, notes = [], [], ()
    for path in paths:
        found = open_dicom(read_regular(path, key=key), key)
        files.append(_said(found, key))
        if files[-1].hw != files[0].hw or files[-1].is_colour:
            _one_of_each(files, key)  # says why, before anything is stacked
        checked_shape((*files[0].hw, sum(f.frames for f in files)), key)
        for index in range(files[-1].frames):
            frame = decode_frame(found, index, key)
            values = -frame.values.astype(np.float32) if frame.is_inverted else frame.values
            frames.append(values if values.base is None else values.copy())
        notes = (*frame.notes, *(("negated, as large values mean dark (MONOCHROME1)",) if frame.is_inverted else ()))
    order, affine = series_order(files, key)
    first = np.cumsum([0, *(f.frames for f in files)])
    stack = np.stack([frames[first[number] + index] for number, index in order])
    grid = checked_grid((stack.shape[2], stack.shape[1], stack.shape[0]), affine, key)
    return Volume(stack.transpose(2, 1, 0), grid, (f"axes {grid.codes}", *notes))
