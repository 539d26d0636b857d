"""The truth columns of a table: class names, several labels, or numbers, each cell checked by line."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from convscope.data.columns import Columns, Places
from convscope.data.naming import natural_key, shown
from convscope.data.table_text import Table
from convscope.errors import DataError
from convscope.records.samples import Task
from convscope.registry import nearest

Truth = tuple[np.ndarray, Task, tuple[str, ...], str]
SEPARATORS = ("|", ";", ",", " ")
PROBABLE = 0.5  # the threshold of a column headed "probability" where no other is said
_MISSING = frozenset({"", "nan", "na", "n/a", "null", "none", "?"})


def read_column_truth(table: Table, places: Places, columns: Columns, task: Task | None) -> Truth:
    """Truth, task, class or column names, and a sentence that says how they were understood.

    Raises:
        DataError: with file and line.
    """
    if columns.label_separator:
        return _several(table, places.labels[0], columns)
    numbers = [[_number(row[c]) for c in places.labels] for row in table.rows]
    if columns.threshold is not None:
        return _thresholded(table, places, columns)
    if len(places.labels) > 1:
        return _columns(table, places, task, numbers)
    column = places.labels[0]
    if task in (None, "classify") and _are_probabilities(table, column, [row[0] for row in numbers]):
        return _thresholded(table, places, replace(columns, threshold=PROBABLE))
    meaning = task or _meaning(table, column, [row[0] for row in numbers])
    if meaning == "regress":
        values = [[_checked(table, i, column)] for i in range(len(table.rows))]
        return np.array(values, np.float32), "regress", (table.headings[column],), "numbers to predict"
    if meaning == "multilabel":
        return _several(table, column, replace(columns, label_separator=_separator(table, column)))
    return _classes(table, column, columns)


def _are_probabilities(table: Table, column: int, numbers: list[float | None]) -> bool:
    """Whether the heading says so, all are from 0 to 1, and some are neither."""
    if table.headings[column].strip().lower() != "probability":
        return False
    values = [v for v in numbers if v is not None and 0 <= v <= 1]
    return len(values) == len(numbers) and any(0 < v < 1 for v in values)


def _separator(table: Table, column: int) -> str:
    """What separates labels in the cells of a column: the first of | ; , that is in any of them, else the blank."""
    for one in SEPARATORS:
        if any(one in row[column].strip() for row in table.rows):
            return one
    raise DataError(
        f"{table.where}: expected several labels in a cell of column {shown(table.headings[column])}, "
        "separated by | ; , or a blank, found one in each; use one 0/1 column per label, or task classify"
    )


def _number(cell: str) -> float | None:
    """The finite number in a cell, or None."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in cell else None


def _checked(table: Table, row: int, column: int) -> float:
    value = _number(table.rows[row][column])
    if value is None:
        got = shown(table.rows[row][column]) or "an empty cell"
        raise DataError(
            f"{table.where}:{table.lines[row]}: expected a number in column {table.headings[column]}, got {got}"
        )
    return value


def _present(table: Table, row: int, column: int) -> str:
    cell = table.rows[row][column]
    if cell.lower() in _MISSING:
        got = cell or "an empty cell"
        raise DataError(
            f"{table.where}:{table.lines[row]}: expected a label in column {table.headings[column]}, got {got}; "
            "fill it in or drop the row"
        )
    return cell


def _meaning(table: Table, column: int, numbers: list[float | None]) -> Task:
    """Text and whole numbers are classes; numbers with a decimal point are to be predicted; a mixture is refused."""
    cells = [_present(table, i, column) for i in range(len(table.rows))]
    odd = [i for i, value in enumerate(numbers) if value is None]
    if not odd:
        return "classify" if all(c.lstrip("+-").isdecimal() for c in cells) else "regress"
    if len(odd) < len(cells):
        # the rarer kind is the likely slip; a tie blames the text
        text_is_rare = len(odd) <= len(cells) - len(odd)
        i = odd[0] if text_is_rare else next(i for i, value in enumerate(numbers) if value is not None)
        raise DataError(
            f"{table.where}:{table.lines[i]}: expected labels of one kind, found numbers and text, here "
            f"{shown(cells[i])!r}; mend it, or say task='classify'"
        )
    return "classify"


def _classes(table: Table, column: int, columns: Columns) -> Truth:
    labels = [_present(table, i, column) for i in range(len(table.rows))]
    names = columns.classes or tuple(sorted(set(labels), key=natural_key))
    place = {name: i for i, name in enumerate(names)}
    for label, line in zip(labels, table.lines):
        if label not in place:
            raise DataError(f"{table.where}:{line}: unknown class {shown(label)!r}; {nearest(label, names)}")
    _two(table, set(labels))
    return np.array([place[label] for label in labels], np.int64), "classify", names, "one class per picture"


def _two(table: Table, found: set[str]) -> None:
    if len(found) < 2:
        only = shown(next(iter(found), "none"))
        raise DataError(f"{table.where}: expected at least two classes, found one, {only}; add pictures of another")


def _thresholded(table: Table, places: Places, columns: Columns) -> Truth:
    column, limit = places.labels[0], columns.threshold
    names = columns.classes or (f"below {limit:g}", f"{limit:g} and above")
    if len(names) != 2:
        raise DataError(f"{table.where}: expected two class names with a threshold, got {len(names)}")
    values = np.array([_checked(table, i, column) for i in range(len(table.rows))])
    truth = (values >= limit).astype(np.int64)
    _two(table, {names[i] for i in truth})
    said = f"{names[1]} where {table.headings[column]} >= {limit:g}, else {names[0]}"
    return truth, "classify", names, said


def _several(table: Table, column: int, columns: Columns) -> Truth:
    """Labels in one cell, separated; an empty cell is a picture with none of them."""
    cells = [[p.strip() for p in row[column].split(columns.label_separator) if p.strip()] for row in table.rows]
    names = columns.classes or tuple(sorted({p for cell in cells for p in cell}, key=natural_key))
    place = {name: i for i, name in enumerate(names)}
    truth = np.zeros((len(cells), len(names)), np.float32)
    for i, cell in enumerate(cells):
        for label in cell:
            if label not in place:
                raise DataError(
                    f"{table.where}:{table.lines[i]}: unknown class {shown(label)!r}; {nearest(label, names)}"
                )
            truth[i, place[label]] = 1.0
    _two(table, set(names))
    return truth, "multilabel", names, f"several labels per picture, separated by {columns.label_separator!r}"


def _columns(table: Table, places: Places, task: Task | None, numbers: list[list[float | None]]) -> Truth:
    """Several columns: all 0 and 1 are labels, other numbers are to be predicted."""
    names = tuple(table.headings[c] for c in places.labels)
    for i, row in enumerate(numbers):
        for c, value in zip(places.labels, row):
            if value is None:
                got = shown(table.rows[i][c]) or "an empty cell"
                where = f"{table.where}:{table.lines[i]}"
                raise DataError(
                    f"{where}: expected a number in column {shown(table.headings[c])}, got {got}; "
                    "name the label columns if it is none of them"
                )
    values = np.array(numbers, np.float32)
    is_01 = bool(np.isin(values, (0, 1)).all())
    meaning: Task = task or ("multilabel" if is_01 else "regress")
    if meaning == "regress":
        return values, "regress", names, f"{len(names)} numbers per picture"
    if not is_01:
        i = int(np.argwhere(~np.isin(values, (0, 1)))[0][0])
        raise DataError(f"{table.where}:{table.lines[i]}: expected 0 or 1 in the label columns")
    if meaning == "classify":
        if not bool((values.sum(axis=1) == 1).all()):
            i = int(np.argwhere(values.sum(axis=1) != 1)[0][0])
            raise DataError(f"{table.where}:{table.lines[i]}: expected exactly one 1 for task classify")
        return values.argmax(axis=1).astype(np.int64), "classify", names, "one column per class"
    return values, "multilabel", names, "one 0/1 column per label"
