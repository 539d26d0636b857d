"""Numbers for the page: one binary answer of a JSON head and arrays, read there without a copy.

Layout, little-endian: 4 bytes "CVS1", 4 bytes length of the head (uint32, a multiple of 4 with the blanks that fill
it), the head (UTF-8 JSON with `arrays`: name, dtype, shape, offset in bytes from the end of the head), the arrays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from convscope.files.journal import plain

MAGIC = b"CVS1"
DTYPES = {"float32": "<f4", "uint8": "|u1", "int32": "<i4"}


def pack(facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Facts and arrays (float32, uint8 or int32) as one body."""
    rows, parts, offset = [], [], 0
    for name, array in arrays.items():
        data = np.ascontiguousarray(array, DTYPES[str(array.dtype)])
        rows.append({"name": name, "dtype": str(array.dtype), "shape": list(array.shape), "offset": offset})
        fill = -data.nbytes % 4
        parts += [data.tobytes(), bytes(fill)]
        offset += data.nbytes + fill
    head = json.dumps({**plain(dict(facts)), "arrays": rows}, ensure_ascii=False, allow_nan=False).encode()
    head += b" " * (-len(head) % 4)
    return b"".join([MAGIC, len(head).to_bytes(4, "little"), head, *parts])


def unpack(body: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `pack` made, for tests and other programs."""
    if body[:4] != MAGIC:
        raise ValueError(f"expected a body that begins with {MAGIC!r}, got {body[:4]!r}")
    length = int.from_bytes(body[4:8], "little")
    facts = json.loads(body[8 : 8 + length])
    arrays = {}
    for row in facts.pop("arrays"):
        count = int(np.prod(row["shape"]))
        found = np.frombuffer(body, DTYPES[row["dtype"]], count, 8 + length + row["offset"])
        arrays[row["name"]] = found.reshape(row["shape"])
    return facts, arrays
