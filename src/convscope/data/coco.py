"""COCO JSON: one file of images, categories and annotations, read strictly.

A crowd's run-length mask is decoded only as far as its box needs; outlines are kept.

Source: cocodataset.org, "Data format"; Lin et al. 2014.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convscope.data.box_checks import Numbers
from convscope.data.coco_masks import rle_box
from convscope.data.inside import Listing, relative_key
from convscope.data.marked import MarkedBox, MarkedPicture, box_samples, split_of
from convscope.data.naming import shown, some
from convscope.data.regular import read_regular
from convscope.errors import DataError, DataNotFoundError, PictureError
from convscope.records.samples import Samples, SetAside

MAX_JSON_BYTES = 1 << 30
_NAN = float("nan")


@dataclass(frozen=True)
class CocoFile:
    """A JSON file with COCO's lists; `key` is its path below the data folder."""

    key: str
    images: list[dict[str, Any]]
    annotations: list[dict[str, Any]]
    categories: list[dict[str, Any]]

    @property
    def split(self) -> str:
        """The part that the file's name or folder names: instances_train2017.json, train/_annotations.coco.json."""
        words = Path(self.key).stem.replace("-", "_").split("_")
        folders = self.key.split("/")[:-1]
        return next((s for w in (*reversed(words), *reversed(folders)) if (s := split_of(w))), "")


def coco_files(root: Path) -> list[str]:
    """JSON files that may be COCO's, relative to `root`: in it, in annotations/, in its train, val and test folders."""
    places = [root, *(p for p in sorted(root.iterdir()) if p.is_dir() and _may_hold(p.name))]
    return [
        file.relative_to(root).as_posix()
        for place in places
        for file in sorted(place.glob("*.json"))
        if file.is_file() and _looks_like_coco(file)
    ]


def _may_hold(name: str) -> bool:
    return name.lower() in ("annotations", "annotation", "labels") or bool(split_of(name))


def _looks_like_coco(path: Path) -> bool:
    """Whether its text speaks of images and annotations or categories; a guess that reading makes sure of."""
    try:
        data = read_regular(path, max_bytes=MAX_JSON_BYTES)
    except PictureError:
        return False
    return b'"images"' in data and b'"annotations"' in data


def read_coco(path: str | Path, *, root: str | Path | None = None) -> Samples:
    """Read a COCO JSON file, or a folder that holds one or one for each split.

    Pictures are looked for beside the JSON file, in the data folder, in its images/ and in folders named like the
    file's split (train2017/). Images without annotation are background.

    Args:
        path: the file or folder.
        root: the folder that `file_name` is relative to; found by itself otherwise.

    Raises:
        DataNotFoundError: nothing there.
        DataError: not JSON, not COCO, ids that stand twice, or files that disagree on the categories.
    """
    given = Path(path)
    if not given.exists():
        raise DataNotFoundError(f"{shown(str(given))}: expected a COCO JSON file or its folder, found nothing there")
    if given.is_dir():
        folder, keys = given, coco_files(given)
        if not keys:
            raise DataError(f"{shown(str(given))}: expected a COCO JSON file, found none with images and annotations")
    else:
        folder = Path(root) if root is not None else _data_folder(given)
        keys = [given.relative_to(folder).as_posix() if given.is_relative_to(folder) else given.as_posix()]
    files = [_opened(folder / k, k) for k in keys]
    classes, labels = _classes(files)
    marked, left = [], []
    for file in files:
        found, reasons = _pictures(file, _Finder(folder, file), labels, classes)
        marked += found
        left += reasons
    _refuse_twice(marked, files)
    source = "COCO JSON " + ", ".join(shown(k) for k in keys)
    return box_samples(folder, marked, classes=classes, source=source, set_aside=left)


def _data_folder(file: Path) -> Path:
    """The folder that holds the JSON, or the one above it for .../annotations/x.json."""
    return file.parent.parent if file.parent.name.lower() in ("annotations", "annotation", "labels") else file.parent


def read_strict(data: bytes, where: str) -> Any:
    """Parse JSON without duplicate keys and without endless nesting; NaN passes, boxes are checked later.

    Raises:
        DataError: with the place in the file.
    """
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=_pairs)
    except RecursionError as error:
        raise DataError(f"{where}: expected COCO JSON, found nesting thousands deep; refused") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: expected UTF-8 text, byte {error.start} is not; save it as UTF-8") from error
    except ValueError as error:
        raise DataError(f"{where}: not JSON that can be read ({error})") from error


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice: " + next(k for k, _ in pairs if sum(k == o for o, _ in pairs) > 1))
    return found


def _opened(path: Path, key: str) -> CocoFile:
    where = shown(key)
    try:
        value = read_strict(read_regular(path, key=key, max_bytes=MAX_JSON_BYTES), where)
    except PictureError as error:
        raise DataNotFoundError(str(error)) from error
    lists = {}
    for name in ("images", "annotations", "categories"):
        rows = value.get(name) if isinstance(value, dict) else None
        if not isinstance(rows, list) or not all(isinstance(r, dict) for r in rows):
            raise DataError(f"{where}: expected COCO's lists images, annotations and categories, found no {name}")
        lists[name] = rows
    for name in ("images", "categories"):
        ids = [r.get("id") for r in lists[name]]
        if not all(isinstance(i, int) for i in ids) or len(set(ids)) < len(ids):
            twice = next((i for i in ids if not isinstance(i, int) or ids.count(i) > 1), None)
            raise DataError(f"{where}: expected a different whole id for each of {name}, got {shown(str(twice))} again")
    return CocoFile(key, lists["images"], lists["annotations"], lists["categories"])


def _classes(files: Sequence[CocoFile]) -> tuple[tuple[str, ...], dict[int, int]]:
    """(class names by category id, category id -> class index).

    Raises:
        DataError: no category, a name that stands twice, or files that disagree.
    """
    first = {c["id"]: str(c.get("name", c["id"])) for c in files[0].categories}
    for file in files[1:]:
        if {c["id"]: str(c.get("name", c["id"])) for c in file.categories} != first:
            raise DataError(f"{shown(file.key)}: expected the categories of {shown(files[0].key)}, got others")
    if not first:
        raise DataError(f"{shown(files[0].key)}: expected categories, found none")
    ids = sorted(first)
    names = tuple(first[i] for i in ids)
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise DataError(f"{shown(files[0].key)}: two categories are named {shown(twice)!r}; rename one")
    return names, {category: index for index, category in enumerate(ids)}


class _Finder:
    """Where the pictures of one JSON file lie."""

    def __init__(self, root: Path, file: CocoFile) -> None:
        self._where = shown(file.key)
        self._listing = Listing(root)
        beside = file.key.rpartition("/")[0]
        words = Path(file.key).stem.split("_")
        folders = [f for w in words if split_of(w) for f in (w, f"images/{w}")]
        self._folders = [f for f in dict.fromkeys([beside, "", "images", *folders, "JPEGImages"])]

    def key(self, name: str, number: int) -> tuple[str, str]:
        """(key, why it is not used or "").

        Raises:
            DataError: a name that is no relative path inside the folder.
        """
        plain = relative_key(name, f"{self._where}, image {number}")
        for folder in self._folders:
            key = f"{folder}/{plain}" if folder else plain
            reason = self._listing.why_refused(key)
            if not reason:
                return key, ""
        return plain, "not there" if reason.startswith("its folder") else reason


def _pictures(
    file: CocoFile, finder: _Finder, labels: dict[int, int], classes: tuple[str, ...]
) -> tuple[list[MarkedPicture], list[SetAside]]:
    marked: dict[int, MarkedPicture] = {}
    absent, left = set(), []
    for image in file.images:
        key, reason = finder.key(str(image.get("file_name", "")), image["id"])
        if reason:
            left.append(SetAside(shown(key), reason))
            absent.add(image["id"])
        else:
            said = (image.get("height"), image.get("width"))
            marked[image["id"]] = MarkedPicture(key, said_hw=_said(said), split=file.split)
    if not marked:
        raise DataError(f"{shown(file.key)}: expected its pictures beside it, found none of {len(file.images)}")
    for number, annotation in enumerate(file.annotations, start=1):
        where = f"{file.key} annotation {annotation.get('id', number)}"
        picture = marked.get(annotation.get("image_id", -1))
        if picture is not None:
            picture.boxes.append(_box(annotation, where, labels, classes))
        elif annotation.get("image_id") not in absent:
            left.append(SetAside(where, f"a box of an unknown image (image_id {annotation.get('image_id')})"))
    return list(marked.values()), left


def _said(hw: tuple[Any, Any]) -> tuple[int, int] | None:
    return (hw[0], hw[1]) if all(isinstance(v, int) and v > 0 for v in hw) else None


def _box(annotation: dict[str, Any], where: str, labels: dict[int, int], classes: tuple[str, ...]) -> MarkedBox:
    category = annotation.get("category_id")
    label = labels.get(category, -1) if isinstance(category, int) else -1
    outline = annotation.get("segmentation")
    area = annotation.get("area")
    return MarkedBox(
        xyxy=_xyxy(annotation.get("bbox"), outline),
        label=label,
        where=where,
        name=classes[label] if label >= 0 else f"category_id {category}",
        is_crowd=annotation.get("iscrowd") == 1,
        outlines=_outlines(outline),
        area=float(area) if isinstance(area, int | float) and math.isfinite(area) and area > 0 else None,
    )


def _xyxy(bbox: Any, outline: Any) -> Numbers:
    """From [left, top, width, height]; from the mask where no box is given; NaN for what is neither."""
    if bbox is None and isinstance(outline, dict):
        return rle_box(outline) or (_NAN, _NAN, _NAN, _NAN)
    try:
        left, top, wide, tall = (_number(v) for v in bbox)
    except (TypeError, ValueError, OverflowError):
        return _NAN, _NAN, _NAN, _NAN
    return left, top, left + wide, top + tall


def _number(value: Any) -> float:
    if isinstance(value, bool | str):
        raise ValueError(value)
    return float(value)


def _outlines(outline: Any) -> tuple[np.ndarray, ...]:
    """Polygons of at least three finite points; a mask gives none."""
    if not isinstance(outline, list):
        return ()
    found = []
    for points in outline:
        try:
            flat = np.array(points, np.float64)
        except (TypeError, ValueError):
            continue
        if flat.ndim == 1 and flat.size >= 6 and flat.size % 2 == 0 and np.isfinite(flat).all():
            found.append(flat.reshape(-1, 2).astype(np.float32))
    return tuple(found)


def _refuse_twice(marked: Sequence[MarkedPicture], files: Sequence[CocoFile]) -> None:
    keys = [p.key for p in marked]
    if len(set(keys)) < len(keys):
        seen: set[str] = set()
        twice = [k for k in keys if k in seen or seen.add(k)]  # type: ignore[func-returns-value]  # add gives None
        raise DataError(f"{shown(files[0].key)}: {len(twice)} pictures are listed twice ({some(twice)}); keep one each")
