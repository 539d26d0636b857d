"""COCO's run-length masks, decoded only as far as their bounding box needs.

Runs of 0 and 1 alternate, beginning with 0, down the columns. The compressed form packs each run into characters of
six bits (from 48 on): five of value, one that says whether more follow; from the third run on, the difference to the
run two before is stored.

Source: cocodataset/cocoapi, description of the format in maskApi.h.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_MOST_PIXELS = 1 << 31


def rle_counts(counts: list[int] | str | bytes) -> list[int] | None:
    """The runs as numbers; None for what is no list of runs."""
    if isinstance(counts, list):
        return counts if all(isinstance(c, int) and c >= 0 for c in counts) else None
    data = counts.encode("ascii", "replace") if isinstance(counts, str) else counts
    runs: list[int] = []
    value, bits = 0, 0
    for byte in data:
        six = byte - 48
        if not 0 <= six < 64 or bits > 40:
            return None
        value |= (six & 31) << bits
        bits += 5
        if six & 32:
            continue
        if six & 16:  # a negative difference
            value -= 1 << bits
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value, bits = 0, 0
    return runs if bits == 0 and all(r >= 0 for r in runs) else None


def rle_box(mask: dict[str, Any]) -> tuple[float, float, float, float] | None:
    """Left, top, right, bottom in pixels of a mask {"size": [height, width], "counts": ...}; None if it is not one."""
    size, counts = mask.get("size"), mask.get("counts")
    if not isinstance(counts, list | str | bytes) or not isinstance(size, list) or len(size) != 2:
        return None
    runs = rle_counts(counts)
    if runs is None or not all(isinstance(s, int) and s > 0 for s in size):
        return None
    high, wide = size
    ends = np.cumsum(np.array(runs, dtype=object))
    if not len(ends) or ends[-1] != high * wide or high * wide > _MOST_PIXELS:
        return None
    edges = ends.astype(np.int64)
    first, last = edges[:-1:2], edges[1::2] - 1
    some = last >= first
    first, last = first[some], last[some]
    if not len(first):
        return None
    spans = first // high != last // high  # such a run reaches a column's end and the next one's beginning
    top = 0 if spans.any() else int((first % high).min())
    bottom = high if spans.any() else int((last % high).max()) + 1
    return float((first // high).min()), float(top), float((last // high).max() + 1), float(bottom)
