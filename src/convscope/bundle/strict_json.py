"""JSON read strictly: no duplicate keys, no NaN or infinity, no huge numbers, no deep nesting, UTF-8 only."""

from __future__ import annotations

import json
import math
from typing import Any

from convscope.errors import BundleError

MAX_BYTES = 16 << 20
MAX_DEPTH = 64
MAX_INTEGER = 1 << 53


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, _ in pairs if sum(key == other for other, _ in pairs) > 1)
        raise ValueError(f"key {twice!r} stands twice")
    return found


def _integer(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > MAX_INTEGER:
        raise ValueError(f"number {text[:24]} is larger than 2^53")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number {text[:24]} is not finite")
    return value


def _constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        level = [
            inner for v in level for inner in (v.values() if isinstance(v, dict) else v if isinstance(v, list) else ())
        ]
        depth += 1
    return depth - 1


def read_json(data: bytes, where: str) -> Any:
    """Parse `data`; `where` names it in the error.

    Raises:
        BundleError: too large, too deep, not UTF-8, a duplicate key, a number that JSON or a double can't hold.
    """
    if len(data) > MAX_BYTES:
        raise BundleError(
            f"{where}: expected at most {MAX_BYTES >> 20} MiB of JSON, got {len(data) >> 20} MiB (rule R8)"
        )
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_pairs,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
        )
    except RecursionError as error:
        raise BundleError(f"{where}: nested deeper than {MAX_DEPTH} levels (rule R8)") from error
    except ValueError as error:
        raise BundleError(f"{where}: expected strict JSON: {error} (rule R8)") from error
    if _depth(value) > MAX_DEPTH:
        raise BundleError(f"{where}: nested deeper than {MAX_DEPTH} levels (rule R8)")
    return value
