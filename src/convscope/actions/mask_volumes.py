"""Masks and heat of whole volumes, written in the geometry of the volume that they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from convscope.arrays.orientation import joined
from convscope.data.dicom_seg import write_dicom_seg
from convscope.data.medical_whole import whole_volumes
from convscope.data.slices import SlicesSource
from convscope.data.volume_writing import labels_of_slices, write_nifti, write_nifti_values
from convscope.explaining.shown import Explanation
from convscope.records.masks import Segmentations
from convscope.records.samples import Samples


def write_volumes(folder: Path, found: Segmentations, samples: Samples) -> tuple[Path, ...]:
    """Write volumes/STUDY.nii.gz for each volume of which every slice was segmented, and STUDY.dcm (DICOM SEG) for a
    DICOM series in which something was found.

    Returns:
        The folder, if anything was written.
    """
    source = samples.pictures
    mask_of = dict(zip(found.keys, found.masks, strict=True))
    written = False
    for volume in whole_volumes(samples):
        assert isinstance(source, SlicesSource)
        masks = [mask_of.get(source.keys[i]) for i in volume.members]
        if any(m is None for m in masks):  # a slice that could not be read leaves no volume
            continue
        labels = labels_of_slices([m for m in masks if m is not None], volume.grid, source.plane)
        name = volume.file.name
        write_nifti(folder / "volumes" / f"{name}.nii.gz", labels, volume.grid)
        written = True
        if volume.file.kind == "dicom" and np.any(labels):
            path = folder / "volumes" / f"{name}.dcm"
            write_dicom_seg(path, labels, volume.grid, classes=found.classes, study=name)
    return (folder / "volumes",) if written else ()


def write_heat_volumes(folder: Path, one: Explanation, samples: Samples, indices: Sequence[int]) -> tuple[Path, ...]:
    """Write the heat of all slices of a volume as volumes/METHOD-STUDY.nii.gz, float32; 0 where nothing was explained.

    Args:
        folder: to write below.
        one: heat, one row for each explained slice.
        samples: all slices.
        indices: which slice each row is of.
    """
    source = samples.pictures
    row_of = {index: row for row, index in enumerate(indices)}
    written = []
    for volume in whole_volumes(samples):
        assert isinstance(source, SlicesSource)
        if not any(i in row_of for i in volume.members):
            continue
        seen = {i: one.in_picture(row_of[i]) for i in volume.members if i in row_of}
        blank = np.zeros_like(next(iter(seen.values())))
        stack = joined([seen.get(i, blank) for i in volume.members], source.plane)
        written.append(folder / "volumes" / f"{one.method}-{volume.file.name}.nii.gz")
        write_nifti_values(written[-1], volume.grid.from_lps(stack), volume.grid)
    return tuple(written)
