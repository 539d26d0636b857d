"""A table of picture paths and truths: CSV, TSV or blank-separated, with optional group and split columns."""

from __future__ import annotations

from pathlib import Path

from convscope.data.columns import Columns, Places, find_columns
from convscope.data.files_source import FilesSource
from convscope.data.folder import PARTS
from convscope.data.inside import Listing, relative_key
from convscope.data.naming import shown
from convscope.data.table_text import Table, read_table_text
from convscope.data.table_truth import read_column_truth
from convscope.errors import DataError
from convscope.records.samples import Samples, SetAside, Task
from convscope.registry import nearest


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
    keys = [relative_key(row[places.path], f"{table.where}:{line}") for row, line in zip(table.rows, table.lines)]
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


def _present(table: Table, keys: list[str], folder: Path, places: Places) -> tuple[list[int], list[SetAside]]:
    """Rows whose picture is there; the others, and rows listed twice, are set aside by name."""
    listing = Listing(folder)
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
