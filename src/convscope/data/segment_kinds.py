"""Which kind of masks a folder holds."""

from __future__ import annotations

from pathlib import Path

from convscope.data.box_kinds import box_kinds, read_boxes
from convscope.data.mask_folders import is_mask_folder, read_mask_folder
from convscope.data.medical import Slicing, read_medical
from convscope.data.medical_files import medical_walk
from convscope.data.medical_labels import match_cases, read_labelled_volumes
from convscope.data.naming import shown
from convscope.data.outlined import masks_of_outlines
from convscope.data.privacy import study_names
from convscope.data.voc_masks import read_voc_masks, voc_mask_root
from convscope.errors import DataError
from convscope.records.samples import Samples, Task


def has_masks(folder: Path) -> bool:
    """Whether a folder holds mask pictures beside pictures; outlines are not looked for."""
    return voc_mask_root(folder) is not None or is_mask_folder(folder)


def read_masks(folder: Path, *, labels: str | None = None) -> Samples:
    """Read a folder for segmentation: VOC masks, folders of pictures and masks, or outlines of COCO or YOLO-seg.

    Args:
        folder: the data folder.
        labels: YOLO-seg: the folder of label files, where there are several.

    Raises:
        DataError: none of these.
    """
    if labels is None and voc_mask_root(folder) is not None:
        return read_voc_masks(folder)
    if labels is None and is_mask_folder(folder):
        return read_mask_folder(folder)
    if labels is not None or box_kinds(folder):
        return masks_of_outlines(read_boxes(folder, labels=labels))
    raise DataError(
        f"{shown(str(folder))}: expected masks: images/ beside masks/, JPEGImages/ beside SegmentationClass/, "
        "COCO JSON or YOLO-seg label files, found none of them"
    )


def read_medical_folder(folder: Path, *, task: Task | None, slicing: Slicing | None = None) -> Samples:
    """Read a folder of DICOM, NIfTI or NRRD: with label volumes for segmentation, class folders for classification.

    Args:
        folder: the data folder.
        task: "segment" or "classify"; None: segment where volumes have labels beside them.
        slicing: how volumes become pictures.

    Raises:
        DataError: another task, or nothing that fits.
    """
    if task not in (None, "segment", "classify"):
        raise DataError(f"DICOM, NIfTI and NRRD folders are for tasks classify and segment, got {task}")
    if task == "segment" or (task is None and match_cases(medical_walk(folder, study_names()).files)[0]):
        return read_labelled_volumes(folder, slicing)
    return read_medical(folder, slicing)
