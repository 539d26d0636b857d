"""A table with one box on each row: picture, corners in pixels, class; optional group, split, width, height."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from convscope.data.columns import GROUP_NAMES, LABEL_NAMES, PATH_NAMES, SPLIT_NAMES, Columns
from convscope.data.inside import Listing, relative_key
from convscope.data.marked import MarkedBox, MarkedPicture, box_samples, class_order, split_of
from convscope.data.naming import shown
from convscope.data.table_text import Table, read_table_text
from convscope.errors import DataError
from convscope.records.samples import Samples, SetAside
from convscope.registry import nearest

_CORNERS = (
    ("x_min", "xmin", "left", "x1"),
    ("y_min", "ymin", "top", "y1"),
    ("x_max", "xmax", "right", "x2"),
    ("y_max", "ymax", "bottom", "y2"),
)


@dataclass(frozen=True)
class BoxColumns:
    """Column numbers, from 0; None for a column that is not there."""

    path: int
    corners: tuple[int, int, int, int]
    label: int
    group: int | None
    split: int | None
    size: tuple[int, int] | None


def has_box_columns(headings: list[str]) -> bool:
    """Whether all four corners have a column ("x_min", "xmin", "left" or "x1", and so on; any case)."""
    return _corners(headings) is not None


def fits_classify_too(table: Table, *, path: int) -> bool:
    """Whether each picture stands on one row only, so that the table could be meant for whole pictures."""
    return max(Counter(row[path] for row in table.rows).values(), default=0) == 1


def is_ambiguous(table: Table) -> bool:
    """Whether a table with boxes could as well give one label for each whole picture."""
    lower = [h.strip().lower() for h in table.headings]
    paths = [i for i, h in enumerate(lower) if h in PATH_NAMES]
    labels = [i for i, h in enumerate(lower) if h in LABEL_NAMES]
    if len(paths) != 1 or len(labels) != 1:
        return False
    return fits_classify_too(table, path=paths[0]) and all(row[labels[0]] for row in table.rows)


def read_boxes_table(
    path: str | Path, *, columns: Columns | None = None, root: str | Path | None = None, table: Table | None = None
) -> Samples:
    """Read a table of boxes; a row with a picture and empty corners says that the picture is background.

    Args:
        path: the table; see `table_text` for its forms.
        columns: which column is path, label, group and split; corners are found by heading.
        root: the folder that paths are relative to; the table's own by default.
        table: its text, if it was read already.

    Raises:
        DataNotFoundError: no table.
        DataError: missing columns, a path out of the folder, an unknown split, or no picture that exists.
    """
    columns = columns or Columns()
    table = table or read_table_text(Path(path))
    places = _places(table, columns)
    folder = Path(root) if root is not None else Path(path).parent
    listing = Listing(folder)
    pictures: dict[str, MarkedPicture] = {}
    absent: dict[str, str] = {}
    left: list[SetAside] = []
    for row, line in zip(table.rows, table.lines):
        where = f"{shown(Path(path).name)}:{line}"
        key = relative_key(row[places.path], where)
        if key not in pictures and key not in absent:
            if reason := listing.why_refused(key):
                absent[key] = reason
                left.append(SetAside(shown(key), f"{reason} ({where})"))
            else:
                pictures[key] = _picture(key, row, places, where)
        if key in pictures:
            _add(pictures[key], row, places, where)
    if not pictures:
        raise DataError(
            f"{table.where}: expected pictures below {shown(str(folder))}, found none of {len(absent)}; "
            "give their folder as root"
        )
    marked = list(pictures.values())
    classes = columns.classes or class_order({b.name for p in marked for b in p.boxes if b.name})
    if not classes:
        raise DataError(f"{table.where}: expected a class for each box, found none")
    known = {name: i for i, name in enumerate(classes)}
    for picture in marked:
        picture.boxes = [MarkedBox(b.xyxy, known.get(b.name, -1), b.where, b.name) for b in picture.boxes]
    source = f"table of boxes {shown(Path(path).name)}, {len(table.rows)} rows"
    return box_samples(folder, marked, classes=classes, source=source, set_aside=left)


def _corners(headings: list[str]) -> tuple[int, int, int, int] | None:
    lower = [h.strip().lower() for h in headings]
    found = [next((lower.index(n) for n in names if n in lower), None) for names in _CORNERS]
    left, top, right, bottom = found
    if left is None or top is None or right is None or bottom is None:
        return None
    return left, top, right, bottom


def _places(table: Table, columns: Columns) -> BoxColumns:
    corners = _corners(table.headings)
    if corners is None:
        raise DataError(
            f"{table.where}: expected columns x_min, y_min, x_max, y_max in pixels, "
            f"found {', '.join(shown(h) for h in table.headings)}"
        )
    label_name = columns.label if isinstance(columns.label, str) else ""
    path = _find(table, columns.path, PATH_NAMES)
    label = _find(table, label_name, (*LABEL_NAMES, "name", "class_name", "label_name"))
    if path is None or label is None:
        lacking = "pictures' paths" if path is None else "classes"
        raise DataError(
            f"{table.where}: expected a column of {lacking}, found {', '.join(shown(h) for h in table.headings)}; "
            "name it in the options"
        )
    wide, high = _find(table, "", ("width",)), _find(table, "", ("height",))
    return BoxColumns(
        path=path,
        corners=corners,
        label=label,
        group=_find(table, columns.group, GROUP_NAMES),
        split=_find(table, columns.split, SPLIT_NAMES),
        size=None if wide is None or high is None else (high, wide),
    )


def _find(table: Table, named: str, known: tuple[str, ...]) -> int | None:
    if named:
        if named not in table.headings:
            raise DataError(f"{table.where}: expected a column {named!r}, found none; {nearest(named, table.headings)}")
        return table.headings.index(named)
    hits = [i for i, h in enumerate(table.headings) if h.strip().lower() in known]
    if len(hits) > 1:
        names = " and ".join(shown(table.headings[i]) for i in hits)
        raise DataError(f"{table.where}: both {names} could be meant; name one of them")
    return hits[0] if hits else None


def _picture(key: str, row: list[str], places: BoxColumns, where: str) -> MarkedPicture:
    split = ""
    if places.split is not None:
        split = split_of(row[places.split])
        if not split:
            raise DataError(f"{where}: expected split train, val or test, got {shown(row[places.split])!r}")
    said = None
    if places.size is not None and all(row[i].isdecimal() and int(row[i]) > 0 for i in places.size):
        said = (int(row[places.size[0]]), int(row[places.size[1]]))
    group = "" if places.group is None else row[places.group]
    return MarkedPicture(key, said_hw=said, split=split, group=group)


def _add(picture: MarkedPicture, row: list[str], places: BoxColumns, where: str) -> None:
    cells = [row[i] for i in places.corners]
    if not any(cells):
        return
    name = row[places.label]
    try:
        left, top, right, bottom = (float(c) for c in cells)
    except ValueError:
        left = top = right = bottom = float("nan")
    picture.boxes.append(MarkedBox((left, top, right, bottom), 0 if name else -1, where, name))
