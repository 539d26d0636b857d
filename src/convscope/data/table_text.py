"""A table file as rows of cells with their line numbers: comma, semicolon, tab or blanks between them."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from convscope.data.formats import has_picture_suffix
from convscope.data.naming import shown
from convscope.data.regular import read_regular
from convscope.errors import DataError, DataNotFoundError, PictureError

MAX_TABLE_BYTES = 256 << 20


@dataclass(frozen=True)
class Table:
    """Headings and rows; `lines[i]` is the line of the file (from 1) that row i ends on.

    `path_place` is the column of picture names in a table without headings, else None.
    """

    where: str
    headings: list[str]
    rows: list[list[str]]
    lines: list[int]
    path_place: int | None = None


def read_table_text(path: Path) -> Table:
    """Read a CSV, TSV or blank-separated text file; blanks around cells are dropped.

    The first line that holds one of tab, semicolon or comma decides the separator, blanks otherwise. A first line in
    which a cell ends like a picture's name is no heading line; the columns are then called "1", "2", ...

    Raises:
        DataNotFoundError: not there or not readable.
        DataError: not UTF-8, or a row with another number of cells, with file and line.
    """
    where = shown(str(path))
    if not path.exists():
        raise DataNotFoundError(f"{where}: expected a table, found nothing there; check the path")
    try:
        data = read_regular(path, max_bytes=MAX_TABLE_BYTES)
    except PictureError as error:
        raise DataNotFoundError(str(error)) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: expected UTF-8 text, byte {error.start} is not; save the table as UTF-8") from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DataError(f"{where}:{line}: expected text, found a NUL character; save the table as UTF-8")
    rows, lines = _cells(text, where)
    if not rows:
        raise DataError(f"{where}: expected a table of path and label, found no rows")
    for row, line in zip(rows, lines):
        if len(row) != len(rows[0]):
            raise DataError(f"{where}:{line}: expected {len(rows[0])} cells as in the first line, got {len(row)}")
    pictures = [i for i, cell in enumerate(rows[0]) if has_picture_suffix(cell)]
    if pictures:
        return Table(where, [str(i + 1) for i in range(len(rows[0]))], rows, lines, pictures[0])
    if len(set(rows[0])) < len(rows[0]):
        raise DataError(f"{where}:{lines[0]}: expected different headings, found one twice; rename it")
    return Table(where, rows[0], rows[1:], lines[1:])


def _cells(text: str, where: str) -> tuple[list[list[str]], list[int]]:
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = next((s for s in "\t;," if s in first), None)
    if separator is None:
        pairs = [(line.split(), i) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
        return [cells for cells, _ in pairs], [i for _, i in pairs]
    rows, lines = [], []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append([cell.strip() for cell in row])
                lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{where}:{reader.line_num}: not a table that can be read ({error})") from error
    return rows, lines
