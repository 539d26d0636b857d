"""Decisions about a data set: which pictures trainings leave out. They lie beside the runs; the data stays as it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from convscope.data.naming import shown
from convscope.errors import DataError
from convscope.files.atomic import write_json
from convscope.studio.desk import Desk

FOLDER = "decisions"


def left_out(desk: Desk, data: str) -> list[int]:
    """Numbers of the pictures that are left out, in order; names that are no longer there count for nothing."""
    place = {shown(key): index for index, key in enumerate(desk.samples(data).pictures.keys)}
    return sorted(place[name] for name in names_left_out(desk, data) if name in place)


def names_left_out(desk: Desk, data: str) -> list[str]:
    """Their names, as a plan's `leave_out` takes them."""
    file = _file(desk, data)
    try:
        names = json.loads(file.read_text(encoding="utf-8"))["leave_out"] if file.is_file() else []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{FOLDER}/{file.name}: can't be read; remove it to decide anew") from error
    return [name for name in names if isinstance(name, str)]


def write_left_out(desk: Desk, data: str, numbers: Sequence[int]) -> list[int]:
    """Write decisions; returns them as they are read back.

    Raises:
        DataError: no such picture, or all of them.
    """
    keys = desk.samples(data).pictures.keys
    if any(not 0 <= n < len(keys) for n in numbers):
        raise DataError(f"expected pictures from 0 to {len(keys) - 1} to leave out; reload the page")
    if len(set(numbers)) >= len(keys):
        raise DataError("expected some pictures to train on; all of them are left out")
    name = desk.places.get(data, "data").name
    write_json(_file(desk, data), {"data": name, "leave_out": [shown(keys[n]) for n in sorted(set(numbers))]})
    return left_out(desk, data)


def _file(desk: Desk, data: str) -> Path:
    return desk.places.runs / FOLDER / f"{desk.places.get(data, 'data').id}.json"
