"""Pictures that look the same: difference hashes, grouped through tables of their parts and never by all pairs.

Two pictures are candidates when their 64-bit difference hashes differ in at most 7 bits. Cut into four 16-bit parts,
two such hashes agree in one part but for at most one bit (7 < 4 x 2), so looking up each part and its 16 neighbours at
distance one finds every candidate. A candidate counts when the 16 x 16 thumbnails agree as well.
Source: Krawetz 2013 (difference hash); Norouzi, Punjani, Fleet 2012 (multi-index hashing).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from convscope.data.fit import resized

RADIUS_BITS = 7
MAX_DIFFERENCE = 0.12  # root mean square difference of two thumbnails as a share of their contrast
MIN_CONTRAST = 3.0  # standard deviation in grey levels; flatter pictures have nothing to compare
_THUMB_PX = 16
_STEP = 1.0  # grey levels; a smaller step between two cells is noise, not a difference
_PARTS, _PART_BITS = 4, 16
_WINDOW = 256  # of a crowded table entry only the nearest in hash order are compared: work stays linear
_CHUNK = 50_000
_PLACES = np.left_shift(np.uint64(1), np.arange(64, dtype=np.uint64))

Pairs = tuple[np.ndarray, np.ndarray]


def thumbnail(grey: np.ndarray) -> np.ndarray:
    """(16, 16) uint8 of a grey picture (h, w, 1) in 0..255."""
    return np.clip(np.round(resized(grey, (_THUMB_PX, _THUMB_PX))[:, :, 0]), 0, 255).astype(np.uint8)


def difference_hashes(grey: np.ndarray) -> tuple[int, int]:
    """64-bit difference hash of a grey picture (h, w, 1) and that of its mirror image.

    The picture is shrunk to 8 rows of 9 cells; a bit is set where a cell is brighter than its left neighbour.
    """
    cells = resized(grey.astype(np.float32), (8, 9))[:, :, 0]
    return _bits(cells), _bits(cells[:, ::-1])


def _bits(cells: np.ndarray) -> int:
    return int(_PLACES[(cells[:, 1:] > cells[:, :-1] + _STEP).ravel()].sum(dtype=np.uint64))


def candidate_pairs(table: np.ndarray, queries: np.ndarray) -> Iterator[Pairs]:
    """Pairs (query, entry) whose hashes differ in at most 7 bits; a pair may come several times.

    Args:
        table: (n,) uint64 hashes.
        queries: (m,) uint64 hashes.
    """
    for part in range(_PARTS):
        turned = _rotated(table, part)
        order = np.argsort(turned, kind="stable")
        turned = turned[order]
        starts = np.searchsorted(turned, np.arange(1 << _PART_BITS, dtype=np.uint64) << np.uint64(48))
        bounds = np.append(starts, len(turned))
        for first in range(0, len(queries), _CHUNK):
            chunk = _rotated(queries[first : first + _CHUNK], part)
            for flip in (0, *(1 << bit for bit in range(_PART_BITS))):
                for q, place in _near(turned, bounds, chunk ^ np.uint64(flip << 48)):
                    far = np.bitwise_count(chunk[q] ^ turned[place])
                    close = far <= RADIUS_BITS
                    yield q[close] + first, order[place[close]]


def _rotated(hashes: np.ndarray, part: int) -> np.ndarray:
    """The hashes with part `part` turned to the top, so that sorting groups by it."""
    if part == 0:
        return hashes
    shift = np.uint64(part * _PART_BITS)
    return (hashes << shift) | (hashes >> (np.uint64(64) - shift))


def _near(turned: np.ndarray, bounds: np.ndarray, wanted: np.ndarray) -> Iterator[Pairs]:
    """Pairs (query, place in the sorted table) that share the top part, at most `_WINDOW` for each query."""
    top = (wanted >> np.uint64(48)).astype(np.int64)
    low, high = bounds[top], bounds[top + 1]
    crowded = high - low > _WINDOW
    if crowded.any():
        here = np.searchsorted(turned, wanted[crowded])
        low[crowded] = np.maximum(low[crowded], here - _WINDOW // 2)
        high[crowded] = np.minimum(high[crowded], low[crowded] + _WINDOW)
    counts = high - low
    # slices of bounded total size: a crowded table must not take memory
    edges = np.searchsorted(np.cumsum(counts), np.arange(0, counts.sum(), 4_000_000))
    for begin, end in zip(edges, [*edges[1:], len(counts)]):
        size = counts[begin:end]
        total = int(size.sum())
        if total:
            query = np.repeat(np.arange(begin, end), size)
            within = np.arange(total) - np.repeat(np.cumsum(size) - size, size)
            yield query, low[query] + within


def alike(thumbs: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Which rows of two (n, 16, 16) uint8 stacks show the same picture: close relative to their own contrast."""
    a = thumbs.reshape(-1, _THUMB_PX**2).astype(np.float32)
    b = other.reshape(-1, _THUMB_PX**2).astype(np.float32)
    contrast = np.minimum(a.std(axis=1), b.std(axis=1))
    difference = np.sqrt(((a - b) ** 2).mean(axis=1))
    return (contrast >= MIN_CONTRAST) & (difference <= MAX_DIFFERENCE * contrast)


def near_duplicates(hashes: np.ndarray, thumbs: np.ndarray) -> list[tuple[int, ...]]:
    """Groups of indices that show the same picture, re-encoded or resized.

    Args:
        hashes: (n,) uint64 difference hashes.
        thumbs: (n, 16, 16) uint8 thumbnails.
    """
    return _grouped(_verified(hashes, hashes, thumbs, thumbs), len(hashes))


def mirrored(hashes: np.ndarray, mirror_hashes: np.ndarray, thumbs: np.ndarray) -> list[tuple[int, ...]]:
    """Groups of indices of which one shows another's mirror image; arguments as for `near_duplicates`."""
    pairs = _verified(hashes, mirror_hashes, thumbs, thumbs[:, :, ::-1])
    # a symmetric picture is its own mirror image, which says nothing
    same = alike(thumbs[pairs[:, 0]], thumbs[pairs[:, 1]]) if len(pairs) else np.zeros(0, bool)
    return _grouped(pairs[~same], len(hashes))


def _verified(table: np.ndarray, queries: np.ndarray, thumbs: np.ndarray, query_thumbs: np.ndarray) -> np.ndarray:
    """(p, 2) int64 pairs i < j that are candidates and whose thumbnails agree."""
    n = len(table)
    codes: list[np.ndarray] = []
    for query, entry in candidate_pairs(table, queries):
        apart = query != entry
        q, e = query[apart], entry[apart]
        good = alike(query_thumbs[q], thumbs[e])
        q, e = q[good], e[good]
        codes.append(np.unique(np.minimum(q, e).astype(np.int64) * n + np.maximum(q, e)))
    if not codes:
        return np.zeros((0, 2), np.int64)
    unique = np.unique(np.concatenate(codes))
    return np.stack([unique // n, unique % n], axis=1)


def _grouped(pairs: np.ndarray, n: int) -> list[tuple[int, ...]]:
    """Connected components of two and more, each sorted, in order of their first index."""
    if not len(pairs):
        return []
    links = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, label = connected_components(links, directed=False)
    touched = np.unique(pairs)
    groups: dict[int, list[int]] = {}
    for index in touched:
        groups.setdefault(int(label[index]), []).append(int(index))
    return sorted(tuple(group) for group in groups.values())
