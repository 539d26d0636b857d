"""Which formats of boxes a folder holds, and whether it could be read as class folders too."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from convscope.data.coco import coco_files, read_coco
from convscope.data.folder import PARTS
from convscope.data.formats import has_picture_suffix
from convscope.data.naming import shown
from convscope.data.voc import read_voc, xml_keys
from convscope.data.walking import is_hidden
from convscope.data.yolo import read_yolo, yolo_folders
from convscope.errors import DataError
from convscope.records.samples import Samples

# folders that hold all pictures or all annotations, never one class
_NO_CLASS = re.compile(
    r"(jpeg|png)?images?|pictures|photos|annot(ation)?s?|xmls?|labels?|imagesets|segmentation(class|object)|masks?|"
    r"(" + "|".join(PARTS) + r")[\d_-]*",
    re.IGNORECASE,
)
_WORDS = {"coco": "COCO JSON", "voc": "Pascal VOC XML", "yolo": "YOLO label files"}


def box_kinds(folder: Path) -> tuple[str, ...]:
    """Those of "coco", "voc" and "yolo" whose files lie in the folder; only names and small files are read."""
    found = []
    if coco_files(folder):
        found.append("coco")
    if any(b"<annotation" in _head(folder / key) for key in xml_keys(folder)[:3]):
        found.append("voc")
    yolo = yolo_folders(folder)
    if yolo.plans or yolo.labels:
        found.append("yolo")
    return tuple(found)


def _head(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(512)
    except OSError:
        return b""


def has_class_folders(folder: Path) -> bool:
    """Whether at least two folders hold pictures and are named like classes, not like parts of a data set."""
    named = [e for e in folder.iterdir() if e.is_dir() and not is_hidden(e.name) and not _NO_CLASS.fullmatch(e.name)]
    with_pictures = [e for e in named if any(has_picture_suffix(p.name) for p in e.rglob("*"))]
    return len(with_pictures) > 1


def read_boxes(folder: Path, *, kinds: tuple[str, ...] = (), labels: str | None = None) -> Samples:
    """Read a folder of pictures with boxes in whichever of the formats it holds.

    Args:
        folder: the data folder.
        kinds: what `box_kinds` found; found anew when empty.
        labels: YOLO: the folder of label files, where there are several.

    Raises:
        DataError: none of the formats, or several of them.
    """
    kinds = kinds or box_kinds(folder)
    if labels is not None:
        kinds = ("yolo",)
    if len(kinds) > 1:
        words = " and ".join(_WORDS[k] for k in kinds)
        raise DataError(f"{shown(str(folder))}: found boxes as {words}; keep one, or give the JSON or data.yaml itself")
    if not kinds:
        raise DataError(
            f"{shown(str(folder))}: expected boxes as COCO JSON, Pascal VOC XML, YOLO labels or a table, found none"
        )
    if kinds[0] == "yolo":
        return read_yolo(folder, labels=labels)
    readers: dict[str, Callable[[Path], Samples]] = {"coco": read_coco, "voc": read_voc}
    return readers[kinds[0]](folder)
