"""Which column of a table is what: named by options, else found by its heading, else an error that lists them."""

from __future__ import annotations

from dataclasses import dataclass

from convscope.data.naming import shown
from convscope.errors import DataError
from convscope.registry import nearest

# Headings that are understood without being told, any case.
PATH_NAMES = ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "img", "picture")
LABEL_NAMES = ("label", "labels", "class", "classes", "category", "target", "y", "probability", "value", "tags")
GROUP_NAMES = ("group", "patient", "patient_id", "subject", "subject_id")
SPLIT_NAMES = ("split", "part", "subset", "fold_name")


@dataclass(frozen=True)
class Columns:
    """How to read a table; everything left empty is found by heading.

    Attributes:
        path: heading of the column of picture paths.
        label: heading of the label column, or of several 0/1 or number columns.
        group: heading of the column that keeps pictures together (same patient, same part).
        split: heading of the column of train, val, test.
        label_separator: what separates several labels in one cell ("|"); empty: one label per cell.
        threshold: numbers at or above it are the second of `classes`, below it the first; makes a number column a
            two-class task.
        classes: class names in index order; by default the labels found, in natural order.

    Columns of a table without a heading line are called "1", "2", ...
    """

    path: str = ""
    label: str | tuple[str, ...] = ""
    group: str = ""
    split: str = ""
    label_separator: str = ""
    threshold: float | None = None
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Places:
    """Column numbers, from 0; None for a column that is not there."""

    path: int
    labels: tuple[int, ...]
    group: int | None
    split: int | None


def find_columns(where: str, headings: list[str], columns: Columns, *, path_place: int | None = None) -> Places:
    """Find each column in the heading line; `path_place` is the path column of a table without one.

    Raises:
        DataError: a named column that is absent, or no single column that could be the path or the label.
    """
    path = _one(where, headings, columns.path, PATH_NAMES, "path")
    path = path_place if path is None else path
    if path is None:
        raise DataError(
            f"{where}: expected a column of picture paths ({', '.join(PATH_NAMES[:4])}, ...), {_has(headings)}"
        )
    group = _one(where, headings, columns.group, GROUP_NAMES, "group")
    split = _one(where, headings, columns.split, SPLIT_NAMES, "split")
    if isinstance(columns.label, tuple):
        if not columns.label:
            raise DataError(f"{where}: expected at least one label column to be named, {_has(headings)}")
        return Places(path, tuple(_named(where, headings, name) for name in columns.label), group, split)
    label = _one(where, headings, columns.label, LABEL_NAMES, "label")
    if label is not None:
        return Places(path, (label,), group, split)
    rest = tuple(i for i in range(len(headings)) if i not in (path, group, split))
    if not rest:
        raise DataError(f"{where}: expected a label column beside the paths, {_has(headings)}")
    return Places(path, rest, group, split)


def _one(where: str, headings: list[str], named: str, known: tuple[str, ...], what: str) -> int | None:
    if named:
        return _named(where, headings, named)
    hits = [i for i, heading in enumerate(headings) if heading.strip().lower() in known]
    if len(hits) > 1:
        names = " and ".join(shown(headings[i]) for i in hits)
        raise DataError(f"{where}: both {names} could be the {what} column; name one of them")
    return hits[0] if hits else None


def _named(where: str, headings: list[str], name: str) -> int:
    if name not in headings:
        raise DataError(f"{where}: expected a column {name!r}, found none; {nearest(name, headings)}")
    return headings.index(name)


def _has(headings: list[str]) -> str:
    return f"found {', '.join(shown(h) for h in headings)}; name it in the options"
