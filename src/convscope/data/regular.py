"""Read a file only if it is an ordinary one: links that loop, pipes, sockets and devices never hang a reader."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from convscope.data.naming import shown
from convscope.errors import PictureError

MAX_FILE_BYTES = 1 << 30

# O_NONBLOCK: opening a pipe that nobody writes returns at once instead of waiting for ever.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def read_regular(path: str | Path, *, key: str = "", max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """The whole content of an ordinary file.

    Args:
        path: the file.
        key: the name that errors use; the path when empty.
        max_bytes: a larger file is refused unread.

    Raises:
        PictureError: absent, no permission, not an ordinary file, too large, or cut short while reading.
    """
    name = shown(key or str(path))
    try:
        handle = os.open(path, _FLAGS)
    except (OSError, ValueError) as error:
        raise PictureError(name, _why_unopened(error)) from error
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise PictureError(name, f"not a regular file but {_kind(facts.st_mode)}")
        if facts.st_size > max_bytes:
            raise PictureError(name, f"file of {facts.st_size:,} bytes, more than the limit of {max_bytes:,}")
        return _content(handle, facts.st_size, max_bytes)
    except OSError as error:
        raise PictureError(name, f"can't be read: {error.strerror or error}") from error
    finally:
        os.close(handle)


def _content(handle: int, size: int, max_bytes: int) -> bytes:
    """Read to the end. One read asks for what the file has and a byte more, so that no large buffer is ever made."""
    data = os.read(handle, min(size + 1, max_bytes))
    while len(data) != size and len(data) < max_bytes:  # a file that grows, or says that it is empty (/proc)
        more = os.read(handle, min(1 << 20, max_bytes - len(data)))
        if not more:
            break
        data += more
    return data


def _why_unopened(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, ValueError):
        return f"not a usable file name ({error})"
    return f"not a regular file, or can't be opened: {error.strerror or error}"


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")
