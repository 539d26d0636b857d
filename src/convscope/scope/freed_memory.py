"""Freed memory: kept for the next batch while large maps are streamed, handed back to the system afterwards.

Without it the C library hands every large array back when it is freed and asks for a new one for the next batch, whose
pages the system must clear first: for all maps of ResNet50, 44.5 MB a picture, a fifth of the whole time.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_MMAP_MAX, _TRIM_THRESHOLD, _MMAP_THRESHOLD = -4, -1, -3  # names of glibc's mallopt(3)
_MOST_MAPPED, _LARGEST_THRESHOLD = 65536, 32 << 20
_NEVER = 2**31 - 1
_LOCK = threading.Lock()
_holders = 0


@cache
def _library() -> Any:
    """glibc, where it is the C library and has both functions; else None."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") and hasattr(library, "mallopt") else None


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """In the block, freed arrays of any size are kept for the next ones of their size; after it they are handed back.

    Blocks may overlap, also in threads: the last one that ends hands back. Afterwards the library works as its own
    rule leaves it once arrays of 32 MiB were freed: larger ones are mapped singly, 64 MiB at the top stay.
    """
    global _holders
    library = _library()
    if library is None:
        yield
        return
    with _LOCK:
        _holders += 1
        if _holders == 1:
            library.mallopt(_TRIM_THRESHOLD, _NEVER)
            library.mallopt(_MMAP_MAX, 0)
    try:
        yield
    finally:
        with _LOCK:
            _holders -= 1
            if not _holders:
                library.mallopt(_MMAP_MAX, _MOST_MAPPED)
                library.mallopt(_MMAP_THRESHOLD, _LARGEST_THRESHOLD)
                library.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST_THRESHOLD)
                library.malloc_trim(0)
