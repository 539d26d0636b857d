"""Give freed memory back to the system: without it a long stream of large arrays keeps up to twice what is in use."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache


@cache
def _trim() -> Callable[[int], int] | None:
    """The C library's malloc_trim; None on systems without it."""
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


def trim_memory() -> None:
    """Hand free pages of all the allocator's arenas back; nothing where the C library can't."""
    trim = _trim()
    if trim is not None:
        trim(0)
