"""How much room decoded pictures may take, in memory and on disk."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from convscope.errors import PlanError

MEMORY_SHARE = 0.25  # of the memory that is free when a loader starts; several loaders may run side by side
DISK_SHARE = 0.5  # of the disk that is free
UNKNOWN_MEMORY_BYTES = 1 << 30  # taken as free where the system does not say


@dataclass(frozen=True)
class CacheBudget:
    """Where decoded pictures may be kept for later passes, and how many bytes of them.

    All pictures fit in memory: they are kept there. Else all fit on disk and a folder is given: there, and the next
    run finds them. Else none is kept. Batches on their way are few and not counted.

    Attributes:
        memory_bytes: at most so much RAM; None is a quarter of the memory free at the start; 0 is none.
        disk_bytes: at most so much on disk for all cache files in `folder`; None is half of what is free there.
        folder: where cache files lie; None for none.
    """

    memory_bytes: int | None = None
    disk_bytes: int | None = None
    folder: Path | None = None

    def __post_init__(self) -> None:
        """Check that budgets are not negative."""
        for name in ("memory_bytes", "disk_bytes"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise PlanError(f"expected {name} of at least 0, got {value}")

    def memory_limit(self) -> int:
        """Bytes of RAM that may be used, as things stand now."""
        return int(free_memory_bytes() * MEMORY_SHARE) if self.memory_bytes is None else self.memory_bytes

    def disk_limit(self) -> int:
        """Bytes of disk that may be used, as things stand now; 0 without a folder."""
        if self.folder is None:
            return 0
        place = next((p for p in (self.folder, *self.folder.absolute().parents) if p.exists()), Path())
        free = int(shutil.disk_usage(place).free * DISK_SHARE)
        return free if self.disk_bytes is None else self.disk_bytes


NO_CACHE = CacheBudget(memory_bytes=0, disk_bytes=0)


def free_memory_bytes() -> int:
    """Memory that this process can still take: what Linux calls available, or less under a container's limit."""
    limits = [n for n in (_available(), _container_rest()) if n is not None]
    return max(0, min(limits)) if limits else UNKNOWN_MEMORY_BYTES


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return found[0] if found else None


def _container_rest() -> int | None:
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text().strip()
        return None if limit == "max" else int(limit) - int((folder / "memory.current").read_text())
    except (OSError, ValueError):
        return None
