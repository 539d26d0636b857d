"""Find the picture files below a folder: quickly, in one order, without leaving the folder."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from convscope.data.formats import SNIFF_BYTES, has_picture_suffix, sniff
from convscope.data.naming import natural_key, shown
from convscope.errors import DataNotFoundError, PictureError
from convscope.records.samples import SetAside

_LITTER = frozenset({"thumbs.db", "desktop.ini", "__macosx", "lost+found"})


@dataclass
class Found:
    """What `walk` met: keys of pictures relative to the root, and what it left out, by name."""

    keys: list[str] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)


def existing_folder(folder: str | Path) -> Path:
    """The folder as a path.

    Raises:
        DataNotFoundError: not there, not a folder, or not readable.
    """
    path = Path(folder)
    try:
        if not path.is_dir():
            word = "a file" if path.exists() else "nothing there"
            raise DataNotFoundError(f"{shown(str(path))}: expected a folder, found {word}; check the path")
    except OSError as error:
        if isinstance(error, DataNotFoundError):
            raise
        raise DataNotFoundError(
            f"{shown(str(path))}: can't be read: {error.strerror}; check its permissions"
        ) from error
    return path


def must_be_there(path: Path) -> None:
    """Refuse data that does not exist, before anything slow is begun.

    Raises:
        DataNotFoundError: nothing is there.
    """
    if not path.exists():
        raise DataNotFoundError(
            f"{shown(str(path))}: expected a folder or a table, found nothing there; check the path"
        )


def children(folder: Path) -> list[os.DirEntry[str]]:
    """Entries of a folder in natural order, without hidden ones.

    Raises:
        DataNotFoundError: the folder may not be read.
    """
    try:
        with os.scandir(folder) as entries:
            found = [e for e in entries if not is_hidden(e.name)]
    except OSError as error:
        raise DataNotFoundError(
            f"{shown(str(folder))}: the folder can't be read: {error.strerror}; check its permissions"
        ) from error
    return sorted(found, key=lambda e: natural_key(e.name))


def is_hidden(name: str) -> bool:
    """Names that systems leave behind, or that begin with a dot."""
    return name.startswith(".") or name.lower() in _LITTER


def walk(root: Path, below: str = "") -> Found:
    """All pictures below `root/below`, folder by folder in natural order.

    A link to a file inside the root counts; a link out of it, a link to a folder, and whatever is neither file nor
    folder are set aside by name. A file without a picture's suffix counts if its content is one.
    """
    found = Found()
    real_root = os.path.realpath(root)
    pending = [below]
    while pending:
        here = pending.pop()
        folders = []
        try:
            entries = children(root / here if here else root)
        except DataNotFoundError as error:
            if here == below:
                raise
            found.set_aside.append(SetAside(shown(here) + "/", str(error)))
            continue
        for entry in entries:
            key = f"{here}/{entry.name}" if here else entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append(key)
            elif reason := _why_left_out(entry, key, real_root):
                found.set_aside.append(SetAside(shown(key), reason))
            else:
                found.keys.append(key)
        pending.extend(reversed(folders))
    return found


def _why_left_out(entry: os.DirEntry[str], key: str, real_root: str) -> str:
    """Why an entry is no picture of this data set, or "" if it is one; file contents decide only without a suffix."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return "its name is not valid UTF-8; rename it"
    if entry.is_symlink():
        reason = _why_link_refused(entry, real_root)
        if reason:
            return reason
    elif not entry.is_file(follow_symlinks=False):
        return "not a regular file"
    if has_picture_suffix(entry.name):
        return ""
    try:
        return "" if sniff(_head(entry.path)) else "not a picture"
    except PictureError as error:
        return error.reason


def _why_link_refused(entry: os.DirEntry[str], real_root: str) -> str:
    real = os.path.realpath(entry.path)
    if real != real_root and not real.startswith(real_root.rstrip(os.sep) + os.sep):
        return "a link out of the data folder; copy the file instead"
    try:
        if entry.is_dir():
            return "a link to a folder; not followed"
        return "" if entry.is_file() else "not a regular file, or a link to nothing"
    except OSError:
        return "a link that leads in a circle"


def _head(path: str) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise PictureError(shown(path), f"can't be read: {error.strerror}") from error
    try:
        return os.read(handle, SNIFF_BYTES)
    finally:
        os.close(handle)
