"""A table of picture paths and truths: CSV, TSV or blank-separated, with optional group and split columns."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from convscope.data.columns import Columns, Places, find_columns
from convscope.data.files_source import FilesSource
from convscope.data.folder import PARTS
from convscope.data.naming import shown
from convscope.data.table_text import Table, read_table_text
from convscope.data.table_truth import read_column_truth
from convscope.errors import DataError
from convscope.records.samples import Samples, SetAside, Task
from convscope.registry import nearest

_WINDOWS_DEVICES = frozenset({"con", "prn", "aux", "nul"})


def read_table(
    path: str | Path, *, columns: Columns | None = None, task: Task | None = None, root: str | Path | None = None
) -> Samples:
    """Read a table of paths and truths; no picture is opened.

    Args:
        path: the table; see `table_text` for its forms.
        columns: which column is what; see `Columns`.
        task: what the labels mean; by default: several labels in a cell or several 0/1 columns are "multilabel", text
            and whole numbers "classify", numbers with a decimal point "regress" ("classify" with a threshold).
        root: the folder that the paths are relative to; the table's own by default.

    Raises:
        DataNotFoundError: no table, or no folder.
        DataError: with file and line: a missing, not-a-number or mixed label, a path out of the folder, an unknown
            split, a picture listed twice with different truths; or fewer than two classes, or no picture that exists.
    """
    columns = columns or Columns()
    table = read_table_text(Path(path))
    places = find_columns(table.where, table.headings, columns, path_place=table.path_place)
    folder = Path(root) if root is not None else Path(path).parent
    keys = [_key(table, row[places.path], line) for row, line in zip(table.rows, table.lines)]
    kept, set_aside = _present(table, keys, folder, places)
    rows = [table.rows[i] for i in kept]
    kept_table = Table(table.where, table.headings, rows, [table.lines[i] for i in kept])
    truth, meaning, classes, said = read_column_truth(kept_table, places, columns, task)
    return Samples(
        pictures=FilesSource(folder, tuple(keys[i] for i in kept)),
        truth=truth,
        task=meaning,
        classes=classes,
        groups=None if places.group is None else tuple(row[places.group] for row in rows),
        given_split=_splits(kept_table, places),
        set_aside=tuple(set_aside),
        source=f"table {shown(Path(path).name)}: {_said(table, places)}; {said}",
        root=folder,
    )


def _said(table: Table, places: Places) -> str:
    """Which columns were taken for what."""
    words = [f"path from column {table.headings[places.path]}"]
    words.append("truth from " + ", ".join(shown(table.headings[i]) for i in places.labels[:8]))
    words += [
        f"{what} from {shown(table.headings[place])}"
        for what, place in (("group", places.group), ("split", places.split))
        if place is not None
    ]
    return ", ".join(words)


def _key(table: Table, cell: str, line: int) -> str:
    """The cell as a path below the folder, with forward slashes.

    Raises:
        DataError: empty, absolute, an address, a device name, or leading out of the folder.
    """
    where = f"{table.where}:{line}"
    if not cell:
        raise DataError(f"{where}: expected a picture path, found an empty cell")
    if re.match(r"^[a-zA-Z][a-zA-Z0-9+.-]+:", cell):
        raise DataError(f"{where}: expected a path, found an address {shown(cell)!r}; nothing is downloaded")
    windows = PureWindowsPath(cell)
    if windows.drive or windows.root or cell.startswith("~"):
        raise DataError(
            f"{where}: expected a path relative to the pictures' folder, found {shown(cell)!r}; "
            "write it relative and give the folder as root"
        )
    parts = [p for p in (windows.parts if "\\" in cell and os.sep == "\\" else PurePosixPath(cell).parts) if p != "."]
    if ".." in windows.parts or ".." in parts or not parts:
        raise DataError(f"{where}: {shown(cell)!r} leads out of the pictures' folder; refused")
    if any(p.split(".")[0].lower() in _WINDOWS_DEVICES for p in windows.parts):
        raise DataError(f"{where}: {shown(cell)!r} is a device name on Windows; rename the file")
    return "/".join(parts)


def _present(table: Table, keys: list[str], folder: Path, places: Places) -> tuple[list[int], list[SetAside]]:
    """Rows whose picture is there; the others, and rows listed twice, are set aside by name."""
    listing = _Listing(folder)
    first: dict[str, int] = {}
    kept, set_aside = [], []
    for i, key in enumerate(keys):
        line = table.lines[i]
        if key in first:
            before = first[key]
            if any(table.rows[i][c] != table.rows[before][c] for c in places.labels):
                raise DataError(
                    f"{table.where}:{line}: {shown(key)} has another label than in line {table.lines[before]}; keep one"
                )
            set_aside.append(SetAside(shown(key), f"listed twice, lines {table.lines[before]} and {line}"))
        elif reason := listing.why_refused(key):
            set_aside.append(SetAside(shown(key), f"{reason} ({table.where}:{line})"))
        else:
            first[key] = i
            kept.append(i)
    if not kept:
        example = shown(keys[0]) if keys else "no row"
        raise DataError(
            f"{table.where}: expected pictures below {shown(str(folder))}, found none of {len(keys)} ({example}); "
            "give their folder as root"
        )
    return kept, set_aside


class _Listing:
    """Which names lie in which folder, each folder read once: 100,000 rows cost no 100,000 questions to the disk."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._real_root = os.path.realpath(root)
        self._folders: dict[str, dict[str, bool] | None] = {}

    def why_refused(self, key: str) -> str:
        """Why the file is not used, or "" if it is."""
        parent, _, name = key.rpartition("/")
        if parent not in self._folders:
            self._folders[parent] = self._read(parent)
        names = self._folders[parent]
        if names is None:
            return "its folder is not there, can't be read, or lies outside by a link"
        if name not in names:
            return "not there"
        if names[name] and not self._is_inside(os.path.join(self._root, key)):
            return "a link out of the data folder"
        return ""

    def _read(self, parent: str) -> dict[str, bool] | None:
        """Name -> is it a link; None for a folder that is absent or outside."""
        folder = os.path.join(self._root, parent)
        if not self._is_inside(folder):
            return None
        try:
            with os.scandir(folder) as entries:
                return {e.name: e.is_symlink() for e in entries}
        except OSError:
            return None

    def _is_inside(self, path: str) -> bool:
        real = os.path.realpath(path)
        return real == self._real_root or real.startswith(self._real_root.rstrip(os.sep) + os.sep)


def _splits(table: Table, places: Places) -> tuple[str, ...] | None:
    if places.split is None:
        return None
    parts = []
    for row, line in zip(table.rows, table.lines):
        cell = row[places.split]
        if cell.lower() not in PARTS:
            raise DataError(
                f"{table.where}:{line}: expected split train, val or test, got {cell!r}; {nearest(cell, PARTS)}"
            )
        parts.append(PARTS[cell.lower()])
    return tuple(parts)
