"""Which colour or value of a mask stands for which class: the small files that annotation tools write beside masks."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convscope.data.naming import folded, shown
from convscope.data.regular import read_regular
from convscope.errors import DataError

LABEL_FILES = (
    "labels.csv",
    "labels.json",
    "labelmap.txt",
    "label_map.txt",
    "class_dict.csv",
    "classes.csv",
    "classes.json",
    "classes.txt",
    "dataset.json",
)
_VOID_NAMES = frozenset({"void", "ignore", "ignored", "unlabeled", "unlabelled", "dontcare", "unknown"})
_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class LabelMap:
    """Names with the code of each: a grey value, or red << 16 | green << 8 | blue where `is_colour`."""

    where: str
    entries: tuple[tuple[str, int], ...]
    is_colour: bool

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in index order; names such as "void" or "ignore" are no classes."""
        return tuple(name for name, _ in self.entries if not is_void(name))


def is_void(name: str) -> bool:
    """Whether a label means that nothing is said of its pixels."""
    return folded(name) in _VOID_NAMES


def find_label_map(folders: tuple[Path, ...]) -> LabelMap | None:
    """The label map in the first of these folders that has one.

    Raises:
        DataError: a file of such a name that can't be understood.
    """
    for folder in folders:
        for name in LABEL_FILES:
            if (folder / name).is_file():
                return read_label_map(folder / name)
    return None


def read_label_map(path: Path) -> LabelMap:
    """Read one label map.

    Forms: CSV `name,r,g,b` or `name,value` with these headings; JSON {name: value}, {name: [r, g, b]}, a list of names
    in index order, or {"labels": ...} (Medical Segmentation Decathlon, also {"0": "background"}); lines
    `name:r,g,b::` (CVAT); or one name a line in index order. The order of classes is that of values for values, that
    of the file for colours; "background" and black come first.

    Raises:
        DataError: another form, two names of one code, or fewer than two classes.
    """
    where = shown(path.name)
    text = read_regular(path, key=where, max_bytes=_MOST_BYTES).decode("utf-8-sig", "replace")
    if path.suffix.lower() == ".json":
        pairs = _from_json(text, where)
    elif path.suffix.lower() == ".csv":
        pairs = _from_csv(text, where)
    else:
        pairs = _from_lines(text, where)
    kinds = {isinstance(code, tuple) for _, code in pairs}
    if len(kinds) > 1:
        raise DataError(f"{where}: expected a value or a colour for every class, got both")
    is_colour = True in kinds
    entries = [(name.strip(), _packed(code, name, where)) for name, code in pairs]
    entries = _ordered(entries, is_colour)
    codes = [code for _, code in entries]
    if len(set(codes)) < len(codes) or len({n for n, _ in entries}) < len(entries):
        raise DataError(f"{where}: expected each name and each code once, got one of them twice")
    found = LabelMap(where, tuple(entries), is_colour)
    if not 2 <= len(found.classes) <= 255:
        raise DataError(f"{where}: expected 2 to 255 classes, the background among them, got {len(found.classes)}")
    return found


_Code = int | tuple[int, ...]


def _ordered(entries: list[tuple[str, int]], is_colour: bool) -> list[tuple[str, int]]:
    if not is_colour:
        return sorted(entries, key=lambda e: e[1])
    return sorted(entries, key=lambda e: (folded(e[0]) != "background", e[1] != 0))


def _packed(code: _Code, name: str, where: str) -> int:
    parts = code if isinstance(code, tuple) else (code,)
    top = 255 if isinstance(code, tuple) else 65535
    if len(parts) not in (1, 3) or not all(0 <= p <= top for p in parts):
        raise DataError(f"{where}: expected a value 0 to 65535 or r, g, b of 0 to 255 for {shown(name)!r}, got {code}")
    return parts[0] if len(parts) == 1 else parts[0] << 16 | parts[1] << 8 | parts[2]


def _from_csv(text: str, where: str) -> list[tuple[str, _Code]]:
    rows = [[c.strip() for c in row] for row in csv.reader(io.StringIO(text)) if any(c.strip() for c in row)]
    heads = [folded(c) for c in rows[0]] if rows else []
    places = {name: heads.index(name) for name in ("name", "label", "class", "value", "r", "g", "b") if name in heads}
    name = next((places[n] for n in ("name", "label", "class") if n in places), None)
    columns = [places[c] for c in ("r", "g", "b") if c in places] or [places[c] for c in ("value",) if c in places]
    if name is None or len(columns) not in (1, 3):
        got = ", ".join(map(shown, rows[0][:6])) if rows else "an empty file"
        raise DataError(f"{where}: expected columns name,r,g,b or name,value, got {got}")
    try:
        numbers = [tuple(int(row[c]) for c in columns) for row in rows[1:]]
        return [(row[name], n[0] if len(n) == 1 else n) for row, n in zip(rows[1:], numbers)]
    except (ValueError, IndexError) as error:
        raise DataError(f"{where}: expected whole numbers beside each name, got another value") from error


def _from_json(text: str, where: str) -> list[tuple[str, _Code]]:
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: expected JSON, it can't be parsed") from error
    value = value.get("labels", value) if isinstance(value, dict) else value
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return [(name, i) for i, name in enumerate(value)]
    if isinstance(value, dict) and value:
        pairs: list[tuple[str, _Code]] = []
        for key, code in value.items():
            if isinstance(code, str) and key.isdecimal():
                pairs.append((code, int(key)))
            elif isinstance(code, int) and not isinstance(code, bool):
                pairs.append((key, code))
            elif isinstance(code, list) and all(type(c) is int for c in code):
                pairs.append((key, tuple(code)))
            else:
                break
        else:
            return pairs
    raise DataError(f"{where}: expected {{name: value}}, {{name: [r, g, b]}} or a list of names, got another form")


def _from_lines(text: str, where: str) -> list[tuple[str, _Code]]:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found = [re.match(r"^([^:]+):(\d+),(\d+),(\d+)(:.*)?$", line) for line in lines]
    if lines and all(found):
        return [(m[1], (int(m[2]), int(m[3]), int(m[4]))) for m in found if m]
    if any(found):
        raise DataError(f"{where}: expected `name:r,g,b` in every line, got it in some")
    return [(line, i) for i, line in enumerate(lines)]
