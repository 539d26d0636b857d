"""A folder with one folder per class, or train/val/test folders of those."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from convscope.data.files_source import FilesSource
from convscope.data.naming import natural_key, shown, some
from convscope.data.walking import children, existing_folder, walk
from convscope.errors import DataError
from convscope.records.samples import Samples, SetAside

Layout = Literal["auto", "classes", "splits"]

PARTS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def read_folder(root: str | Path, *, layout: Layout = "auto") -> Samples:
    """Read a folder of class folders for classification; no picture is opened.

    Args:
        root: holds one folder per class (pictures may lie deeper inside), or train/val/test folders of such
            (also training, valid, validation, testing; any case).
        layout: "auto": it holds splits if all its folders have such names; else say "classes" or "splits".

    Returns:
        Samples in natural order of class and name; files that are no pictures, links out of the folder and pictures
        beside the class folders are in `set_aside`.

    Raises:
        DataNotFoundError: no such folder, or no permission.
        DataError: no pictures, fewer than two classes, or folders that could be read both ways.
    """
    folder = existing_folder(root)
    if layout not in ("auto", "classes", "splits"):
        raise DataError(f"expected layout auto, classes or splits, got {layout!r}")
    names = [entry.name for entry in children(folder) if entry.is_dir()]
    is_split = _is_split(folder, names, layout)
    found = walk(folder)
    depth = 1 if is_split else 0
    rows, loose = [], []
    for key in found.keys:
        steps = key.split("/")
        if len(steps) < depth + 2:
            loose.append(SetAside(shown(key), "lies beside the class folders, so it has no class"))
        else:
            rows.append((steps[depth], PARTS[steps[0].lower()] if is_split else "", key))
    empty = [] if is_split else [n for n in names if n not in {row[0] for row in rows}]
    loose += [SetAside(shown(n) + "/", "a class folder without pictures") for n in empty]
    classes = tuple(sorted({row[0] for row in rows}, key=natural_key))
    _check(folder, classes, loose=len(loose) - len(empty), empty=empty)
    rows.sort(key=lambda row: (natural_key(row[0]), row[1] != "train", row[1] != "val"))
    place = {name: index for index, name in enumerate(classes)}
    return Samples(
        pictures=FilesSource(folder, tuple(row[2] for row in rows)),
        truth=np.array([place[row[0]] for row in rows], np.int64),
        task="classify",
        classes=classes,
        given_split=tuple(row[1] for row in rows) if is_split else None,
        set_aside=(*found.set_aside, *loose),
        source="train/val/test folders, one folder per class in each" if is_split else "one folder per class",
        root=folder,
    )


def _is_split(folder: Path, names: list[str], layout: Layout) -> bool:
    parts = {PARTS[n.lower()] for n in names if n.lower() in PARTS}
    others = [n for n in names if n.lower() not in PARTS]
    if layout == "splits" and others:
        raise DataError(
            f"{shown(str(folder))}: expected only train, val and test folders, found also {some(others)}; move them"
        )
    if layout == "classes" or not parts:
        return False
    if not others:
        return True
    if "train" in parts and len(parts) > 1:
        raise DataError(
            f"{shown(str(folder))}: expected class folders or train/val/test folders, found both "
            f"({some(others)} beside {some(sorted(parts))}); move them or say layout='classes'"
        )
    return False


def _check(folder: Path, classes: tuple[str, ...], *, loose: int, empty: list[str]) -> None:
    """Refuse what no classifier can learn from, saying what was found."""
    where = shown(str(folder))
    if len(classes) >= 2:
        return
    if len(classes) == 1:
        more = f" (and {some(empty)} without pictures)" if empty else ""
        raise DataError(f"{where}: expected at least two classes, found one, {shown(classes[0])}{more}; add another")
    if loose:
        raise DataError(
            f"{where}: expected one folder per class, found {loose} pictures and no class folders; "
            "sort them into folders, or give a table of path and label"
        )
    raise DataError(f"{where}: expected folders of pictures, found no picture (JPEG, PNG, BMP, GIF, WebP, TIFF)")
