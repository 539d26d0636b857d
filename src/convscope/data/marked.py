"""What all box readers share: marked pictures of any format become Samples with one Boxes for each picture.

Only the first bytes of each picture are read, for its size and EXIF orientation. None of the formats says whether
boxes are given for the file as stored or as shown. Where the annotation gives a size, the frame that has this size is
taken and boxes of a stored frame are turned; where it gives none, or both frames have it, boxes are taken as shown,
which is how annotation tools display pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from convscope.data.box_checks import Numbers, unknown_class, why_refused
from convscope.data.exif import swaps_sides
from convscope.data.files_source import FilesSource
from convscope.data.folder import PARTS
from convscope.data.header import Header, read_header
from convscope.data.naming import natural_key, shown
from convscope.errors import DataError, PictureError
from convscope.records.boxes import Boxes
from convscope.records.samples import Samples, SetAside

ANNOTATION_SUFFIXES = (".xml", ".json", ".txt", ".yaml", ".yml", ".cache", ".csv")


@dataclass(frozen=True)
class MarkedBox:
    """One box as its file has it.

    Attributes:
        xyxy: left, top, right, bottom; pixels, or shares of the picture's sides where the picture says so.
        label: class index; -1 for a class that is not known, named by `name`.
        where: file and place of the box ("labels/a.txt:3").
        name: the class as written.
        is_crowd, outlines, area: as in records.boxes.Boxes; outlines as (n, 2) in the units of `xyxy`.
    """

    xyxy: Numbers
    label: int
    where: str
    name: str = ""
    is_crowd: bool = False
    outlines: tuple[np.ndarray, ...] = ()
    area: float | None = None


@dataclass
class MarkedPicture:
    """One picture and its boxes; `key` is relative to the data folder, `said_hw` the size that the annotation gives."""

    key: str
    boxes: list[MarkedBox] = field(default_factory=list)
    said_hw: tuple[int, int] | None = None
    split: str = ""
    group: str = ""
    is_relative: bool = False


def box_samples(
    root: Path,
    pictures: Sequence[MarkedPicture],
    *,
    classes: Sequence[str],
    source: str,
    set_aside: Sequence[SetAside] = (),
) -> Samples:
    """Check sizes and boxes and put them into one record, in the order given.

    Args:
        root: the data folder.
        pictures: each listed once.
        classes: names in index order.
        source: how it was read, in words.
        set_aside: what the reader left out already.

    Raises:
        DataError: no picture is left, or only some pictures have a split.
    """
    kept, truth, left = [], [], list(set_aside)
    for picture in pictures:
        try:
            header = read_header(root / picture.key, key=picture.key)
            boxes, reasons = _boxes(picture, header)
        except PictureError as error:
            left.append(SetAside(shown(picture.key), error.reason))
            continue
        kept.append(picture)
        truth.append(boxes)
        left += reasons
    if not kept:
        raise DataError(
            f"{shown(str(root))}: expected pictures that can be read, found none of {len(pictures)}; "
            f"{left[0].key + ': ' + left[0].reason if left else 'look at the folder'}"
        )
    column = np.empty(len(kept), object)
    for i, boxes in enumerate(truth):
        column[i] = boxes
    return Samples(
        pictures=FilesSource(root, tuple(p.key for p in kept)),
        truth=column,
        task="detect",
        classes=tuple(classes),
        groups=tuple(p.group or p.key for p in kept) if any(p.group for p in kept) else None,
        given_split=_splits(root, kept),
        set_aside=tuple(left),
        source=source,
        root=root,
    )


def _splits(root: Path, kept: Sequence[MarkedPicture]) -> tuple[str, ...] | None:
    splits = tuple(p.split for p in kept)
    if len(set(splits)) == 1:  # none, or all one part: nothing to choose between
        return None
    if not all(splits):
        without = next(p.key for p in kept if not p.split)
        raise DataError(
            f"{shown(str(root))}: expected every picture to belong to train, val or test, "
            f"{splits.count('')} belong to none ({shown(without)}); list them or move them away"
        )
    return splits


def _boxes(picture: MarkedPicture, header: Header) -> tuple[Boxes, list[SetAside]]:
    """The usable boxes of one picture in its upright frame, and why the others are not.

    Raises:
        PictureError: the annotation was made for a picture of another size.
    """
    frame_hw, turn = _frame(picture, header)
    high, wide = frame_hw
    unit = np.array([wide, high], np.float64) if picture.is_relative else np.ones(2)
    good, rows, left = [], [], []
    for box in picture.boxes:
        left_px, top_px, right_px, bottom_px = (np.asarray(box.xyxy, np.float64) * np.tile(unit, 2)).tolist()
        numbers = (left_px, top_px, right_px, bottom_px)
        reason = why_refused(numbers, frame_hw) or (unknown_class(box.name) if box.label < 0 else "")
        if reason:
            left.append(SetAside(shown(box.where), reason))
        else:
            good.append(box)
            rows.append(numbers)
    xyxy = turn_boxes(np.array(rows, np.float64).reshape(-1, 4), frame_hw, turn)
    outlines = tuple(tuple(_turned(o * unit, frame_hw, turn) for o in b.outlines) for b in good)
    boxes = Boxes(
        xyxy=xyxy.astype(np.float32),
        labels=np.array([b.label for b in good], np.int64),
        picture_hw=header.upright_hw,
        crowd=np.array([b.is_crowd for b in good], bool) if any(b.is_crowd for b in good) else None,
        polygons=outlines if any(outlines) else None,
        areas=_areas(good, xyxy),
    )
    return boxes, left


def _areas(good: Sequence[MarkedBox], xyxy: np.ndarray) -> np.ndarray | None:
    """Areas of outlines where the file gives them, of the boxes elsewhere."""
    if all(b.area is None for b in good):
        return None
    whole = (xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1])
    return np.array([w if b.area is None else b.area for b, w in zip(good, whole.tolist())], np.float64)


def _frame(picture: MarkedPicture, header: Header) -> tuple[tuple[int, int], int]:
    """(height and width of the frame that the boxes are given in, orientation that is still to be undone)."""
    said, shown_hw, stored_hw = picture.said_hw, header.upright_hw, header.stored_hw
    if said is None or said == shown_hw:
        return shown_hw, 1
    if said == stored_hw:
        return stored_hw, header.orientation
    raise PictureError(
        picture.key,
        f"marked for another size (the annotation says {said[1]} x {said[0]} px, "
        f"the picture has {shown_hw[1]} x {shown_hw[0]})",
    )


def _turned(points_xy: np.ndarray, stored_hw: tuple[int, int], orientation: int) -> np.ndarray:
    """(n, 2) points of the stored frame in the upright one; see `exif.upright` for the steps."""
    points, (high, wide) = np.asarray(points_xy, np.float64), stored_hw
    if swaps_sides(orientation):
        points, high, wide = points[:, ::-1], wide, high
    x, y = points[:, 0], points[:, 1]
    x = wide - x if orientation in (2, 3, 6, 7) else x
    y = high - y if orientation in (3, 4, 7, 8) else y
    return np.stack([x, y], axis=1).astype(np.float32)


def turn_boxes(xyxy: np.ndarray, stored_hw: tuple[int, int], orientation: int) -> np.ndarray:
    """Boxes (n, 4) of a picture as stored -> in the picture stood upright; float64, orientation 1 to 8."""
    if orientation == 1 or not len(xyxy):
        return np.asarray(xyxy, np.float64).reshape(-1, 4)
    a, b = _turned(xyxy[:, :2], stored_hw, orientation), _turned(xyxy[:, 2:], stored_hw, orientation)
    return np.concatenate([np.minimum(a, b), np.maximum(a, b)], axis=1).astype(np.float64)


def split_of(name: str) -> str:
    """Which of train, val and test a folder or file name such as "train2017" or "Valid" stands for; "" for none."""
    return PARTS.get(name.lower().rstrip("0123456789_-"), "")


def split_of_key(key: str) -> str:
    """The split that one of a key's folders names, or ""."""
    return next((s for p in PurePosixPath(key).parts[:-1] if (s := split_of(p))), "")


def class_order(names: set[str]) -> tuple[str, ...]:
    """Class names that no file lists, in natural order."""
    return tuple(sorted(names, key=natural_key))


def without_annotations(set_aside: Sequence[SetAside]) -> list[SetAside]:
    """What a walk left out, less the annotation files, which are no strangers here."""
    return [s for s in set_aside if not s.key.lower().endswith(ANNOTATION_SUFFIXES)]
