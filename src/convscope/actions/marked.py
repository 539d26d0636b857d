"""Where the object is: masks from picture files and boxes from a table, brought into the network's frame."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from convscope.data.decode import decode_file
from convscope.data.naming import shown
from convscope.errors import DataError, DataNotFoundError
from convscope.records.geometry import Letterbox

SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif", ".webp", ".jpg", ".jpeg")
COLUMNS = ("picture", "top", "left", "bottom", "right")

# (place of a picture, its size in pixels) -> its mask of that size
Read = Callable[[int, tuple[int, int]], np.ndarray]


def marks(
    keys: Sequence[str], letterboxes: Sequence[Letterbox], *, masks: str | Path | None, boxes: str | Path | None
) -> np.ndarray | None:
    """(n, height, width) bool in the network frame, True on the object; None when neither is given.

    Args:
        keys: the pictures' paths or names.
        letterboxes: how each was fitted.
        masks: a folder with one picture per picture, of its size and its name (any suffix): what is not 0 is object.
        boxes: a CSV file with the columns picture, top, left, bottom, right in the picture's own pixels; a picture
            may have several rows.

    Raises:
        DataError: a picture without mark, a mask of another size, a table that can't be read, both given.
        DataNotFoundError: no such folder or file.
    """
    if masks is None and boxes is None:
        return None
    if masks is not None and boxes is not None:
        raise DataError("expected masks or boxes, got both; give one of them")
    if len(letterboxes) != len(keys):
        raise DataError("expected pictures from files for masks and boxes: arrays have no frame of their own")
    read = _from_masks(Path(masks), keys) if masks is not None else _from_boxes(Path(boxes or ""), keys)
    found = [_fitted(read(i, box.picture_hw), box) for i, box in enumerate(letterboxes)]
    for key, mask in zip(keys, found):
        if not mask.any():
            raise DataError(f"{key}: expected an object inside what the network sees of the picture, its mark is empty")
    return np.stack(found)


def _from_masks(folder: Path, keys: Sequence[str]) -> Read:
    if not folder.is_dir():
        raise DataNotFoundError(f"{shown(str(folder))}: expected a folder of masks, found none")
    files = [_mask_file(folder, key) for key in keys]

    def read(place: int, size_hw: tuple[int, int]) -> np.ndarray:
        values = decode_file(files[place], 1).values[..., 0]
        if values.shape != size_hw:
            raise DataError(
                f"{shown(str(files[place]))}: expected a mask of the picture's size {size_hw[0]} x {size_hw[1]}, "
                f"got {values.shape[0]} x {values.shape[1]}"
            )
        return np.asarray(values > 0)

    return read


def _mask_file(folder: Path, key: str) -> Path:
    """The one file below `folder` of the picture's name: with its class folder before it, or alone."""
    path = Path(key)
    for stem in (folder / path.parent.name / path.stem, folder / path.stem):
        found = [stem.with_name(stem.name + s) for s in SUFFIXES if stem.with_name(stem.name + s).is_file()]
        if len(found) > 1:
            raise DataError(f"expected one mask for {shown(key)}, found {found[0].name} and {found[1].name}")
        if found:
            return found[0]
    raise DataError(f"{shown(str(folder))}: expected a mask {shown(path.stem)}.png for {shown(key)}, found none")


def _from_boxes(file: Path, keys: Sequence[str]) -> Read:
    try:
        with open(file, newline="", encoding="utf-8-sig") as text:
            rows = list(csv.DictReader(text))
    except OSError as error:
        raise DataNotFoundError(
            f"{shown(str(file))}: expected a table of boxes, can't read it: {error.strerror}"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{shown(str(file))}: expected a CSV file in UTF-8: {error}") from error
    if not rows or any(name not in rows[0] for name in COLUMNS):
        raise DataError(f"{shown(str(file))}: expected the columns {', '.join(COLUMNS)} and at least one row")
    known: dict[str, list[tuple[float, ...]]] = {}
    for line, row in enumerate(rows, start=2):
        known.setdefault(str(row["picture"]), []).append(_box(file, line, row))
    mine = [known.get(key) or known.get(Path(key).name) for key in keys]
    if None in mine:
        raise DataError(f"{shown(str(file))}: expected a box for {shown(keys[mine.index(None)])}, found none")

    def read(place: int, size_hw: tuple[int, int]) -> np.ndarray:
        mask = np.zeros(size_hw, bool)
        for top, left, bottom, right in mine[place] or ():
            mask[max(0, round(top)) : round(bottom), max(0, round(left)) : round(right)] = True
        return mask

    return read


def _box(file: Path, line: int, row: dict[str, str]) -> tuple[float, ...]:
    try:
        top, left, bottom, right = (float(row[name]) for name in COLUMNS[1:])
    except (TypeError, ValueError) as error:
        raise DataError(f"{shown(str(file))} line {line}: expected four numbers in pixels, got {error}") from error
    if not (bottom > top and right > left):
        raise DataError(f"{shown(str(file))} line {line}: expected bottom below top and right beyond left")
    return top, left, bottom, right


def _fitted(mask: np.ndarray, box: Letterbox) -> np.ndarray:
    """A mask in the picture's own pixels (h, w) in the network frame.

    Each network pixel takes the value below its centre; an object that falls between all centres takes its own places.
    """
    height, width = box.network_hw
    rows = np.floor((np.arange(height) + 0.5 - box.shift_yx[0]) / box.scale_yx[0]).astype(int)
    columns = np.floor((np.arange(width) + 0.5 - box.shift_yx[1]) / box.scale_yx[1]).astype(int)
    seen = ((rows >= 0) & (rows < mask.shape[0]))[:, None] & ((columns >= 0) & (columns < mask.shape[1]))[None]
    found = mask[np.clip(rows, 0, mask.shape[0] - 1)][:, np.clip(columns, 0, mask.shape[1] - 1)] & seen
    if not found.any():
        places = np.floor(box.to_network(np.argwhere(mask) + 0.5)).astype(int)
        inside = (places >= 0).all(axis=1) & (places < (height, width)).all(axis=1)
        found[tuple(places[inside].T)] = True
    return np.asarray(found)
