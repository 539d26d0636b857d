"""The one door to all kinds of data: `read_data` tells them apart and calls the reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from convscope.data.arrays import PixelRange, read_arrays
from convscope.data.box_kinds import box_kinds, has_class_folders, read_boxes
from convscope.data.boxes_table import has_box_columns, is_ambiguous, read_boxes_table
from convscope.data.coco import read_coco
from convscope.data.columns import Columns
from convscope.data.folder import Layout, read_folder
from convscope.data.foreign import DEFAULT_BUDGET_BYTES, foreign_kind, read_foreign
from convscope.data.formats import has_picture_suffix
from convscope.data.loose import read_pictures
from convscope.data.medical import Slicing
from convscope.data.medical_files import has_medical
from convscope.data.naming import shown
from convscope.data.segment_kinds import has_masks, read_masks, read_medical_folder
from convscope.data.table import read_table
from convscope.data.table_text import read_table_text
from convscope.data.walking import existing_folder, must_be_there
from convscope.data.yolo import read_yolo
from convscope.errors import DataError, DataNotFoundError
from convscope.records.samples import Samples, Task

_TABLES = (".csv", ".tsv", ".txt", ".tab")
_JSON, _YAML = (".json",), (".yaml", ".yml")


@dataclass(frozen=True)
class Reading:
    """How to read data where it does not say so itself; each field concerns one kind of data.

    Attributes:
        layout: folders: "auto", "classes" or "splits"; see `folder.read_folder`.
        columns: tables: which column is what.
        root: tables: the folder that paths are relative to; the table's own by default.
        classes: arrays and other libraries' data sets: class names in index order.
        pixels: the same: the values of black and white, (0, 1) for instance; None takes arrays as they are.
        labels: YOLO data: the folder of label files below the data folder, where there are several.
        slicing: DICOM, NIfTI and NRRD: how volumes become pictures.
        budget_bytes: other libraries' data sets: memory for those that can't be read by index.
    """

    layout: Layout = "auto"
    columns: Columns = field(default_factory=Columns)
    root: str | Path | None = None
    classes: Sequence[str] | None = None
    pixels: PixelRange | None = None
    labels: str | None = None
    slicing: Slicing = field(default_factory=Slicing)
    budget_bytes: int = DEFAULT_BUDGET_BYTES


def read_data(data: Any, *, task: Task | None = None, reading: Reading | None = None) -> Samples:
    """Read data for training, evaluation or a scan; no picture file is opened.

    Args:
        data: a folder, a table file (.csv, .tsv, .txt), a COCO .json, a YOLO data.yaml, (x, y) arrays, a
            tf.data.Dataset, a keras.utils.PyDataset, a grain or torch data set, or Samples (returned as they are).
        task: what the truths mean, where that can't be told; see the readers.
        reading: further options, see `Reading`.

    Raises:
        DataNotFoundError: a path that does not exist or may not be read.
        DataError: anything else that can't be used; the message says what was expected.
    """
    how = reading or Reading()
    if isinstance(data, Samples):
        return data
    if isinstance(data, str | Path):
        return _from_path(Path(data), task, how)
    if foreign_kind(data):
        return read_foreign(data, task=task, classes=how.classes, pixels=how.pixels, budget_bytes=how.budget_bytes)
    if isinstance(data, np.ndarray):
        return read_arrays(data, None, task=task, classes=how.classes, pixels=how.pixels)
    if isinstance(data, tuple | list) and data and all(isinstance(p, str | Path) for p in data):
        return read_pictures(data)
    if isinstance(data, tuple) and len(data) == 2:
        return read_arrays(data[0], data[1], task=task, classes=how.classes, pixels=how.pixels)
    raise DataError(
        "expected a folder, a table, (x, y) arrays, or a data set of tf.data, Keras, grain or torch, "
        f"got {type(data).__name__}"
    )


def _from_path(path: Path, task: Task | None, how: Reading) -> Samples:
    try:
        return _from_readable(path, task, how)
    except PermissionError as error:
        closed = shown(str(error.filename or path))
        raise DataNotFoundError(f"{closed}: no permission to read it; change its permissions or copy it") from error


def _from_readable(path: Path, task: Task | None, how: Reading) -> Samples:
    where = shown(str(path))
    if path.is_dir():
        return _from_folder(path, task, how)
    must_be_there(path)
    if path.suffix.lower() in _TABLES:
        return _from_table(path, task, how)
    if path.suffix.lower() in (*_JSON, *_YAML):
        if task not in (None, "detect"):
            raise DataError(f"{where}: a {path.suffix} file with boxes is for task detect, got {task}")
        return read_coco(path, root=how.root) if path.suffix.lower() in _JSON else read_yolo(path, labels=how.labels)
    if has_picture_suffix(path.name):
        raise DataError(f"{where}: expected a folder or a table, got one picture; give the folder that holds its class")
    raise DataError(f"{where}: expected a folder or a table ({', '.join(_TABLES)}), got a {path.suffix or 'file'}")


def _from_folder(path: Path, task: Task | None, how: Reading) -> Samples:
    """Masks, class folders, or pictures with boxes; where both of the last fit the task has to be named."""
    where = shown(str(path))
    if task in (None, "segment", "classify") and has_medical(existing_folder(path)):
        return read_medical_folder(path, task=task, slicing=how.slicing)
    if task == "segment" or (task is None and has_masks(existing_folder(path))):
        return read_masks(existing_folder(path), labels=how.labels)
    kinds = box_kinds(existing_folder(path)) if task in (None, "detect") else ()
    if task is None and kinds and has_class_folders(path):
        raise DataError(f"{where}: found class folders and boxes ({', '.join(kinds)}); say --task classify or detect")
    if task == "detect" or kinds:
        return read_boxes(path, kinds=kinds, labels=how.labels)
    if task not in (None, "classify"):
        raise DataError(f"{where}: a folder of class folders is for task classify, got {task}; give a table instead")
    return read_folder(path, layout=how.layout)


def _from_table(path: Path, task: Task | None, how: Reading) -> Samples:
    """A table of labels, or of boxes; where both fit the task has to be named."""
    if task not in (None, "detect"):
        return read_table(path, columns=how.columns, task=task, root=how.root)
    table = read_table_text(path)
    if task is None and not has_box_columns(table.headings):
        return read_table(path, columns=how.columns, task=task, root=how.root)
    if task is None and is_ambiguous(table):
        raise DataError(
            f"{table.where}: found one box and one label for each picture; "
            "say --task detect to find boxes, or --task classify to name whole pictures"
        )
    return read_boxes_table(path, columns=how.columns, root=how.root, table=table)
