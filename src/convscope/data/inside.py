"""Names that strangers wrote into tables and annotation files: only what lies inside the data folder is opened."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from convscope.data.naming import shown
from convscope.errors import DataError

_WINDOWS_DEVICES = frozenset({"con", "prn", "aux", "nul"})


def relative_key(cell: str, where: str) -> str:
    """What somebody wrote as a picture's name, as a path below the data folder with forward slashes.

    Args:
        cell: the name as written.
        where: file and line, for the error.

    Raises:
        DataError: empty, absolute, an address, a device name, or leading out of the folder.
    """
    if not cell:
        raise DataError(f"{where}: expected a picture path, found an empty cell")
    if re.match(r"^[a-zA-Z][a-zA-Z0-9+.-]+:", cell):
        raise DataError(f"{where}: expected a path, found an address {shown(cell)!r}; nothing is downloaded")
    windows = PureWindowsPath(cell)
    if windows.drive or windows.root or cell.startswith("~"):
        raise DataError(
            f"{where}: expected a path relative to the pictures' folder, found {shown(cell)!r}; "
            "write it relative and give the folder as root"
        )
    parts = [p for p in (windows.parts if "\\" in cell and os.sep == "\\" else PurePosixPath(cell).parts) if p != "."]
    if ".." in windows.parts or ".." in parts or not parts:
        raise DataError(f"{where}: {shown(cell)!r} leads out of the pictures' folder; refused")
    if any(p.split(".")[0].lower() in _WINDOWS_DEVICES for p in windows.parts):
        raise DataError(f"{where}: {shown(cell)!r} is a device name on Windows; rename the file")
    return "/".join(parts)


class Listing:
    """Which names lie in which folder, each folder read once: 100,000 rows cost no 100,000 questions to the disk."""

    def __init__(self, root: Path) -> None:
        """Nothing is read before it is asked for."""
        self._root = root
        self._real_root = os.path.realpath(root)
        self._folders: dict[str, dict[str, bool] | None] = {}

    def why_refused(self, key: str) -> str:
        """Why the file is not used, or "" if it is."""
        parent, _, name = key.rpartition("/")
        if parent not in self._folders:
            self._folders[parent] = self._read(parent)
        names = self._folders[parent]
        if names is None:
            return "its folder is not there, can't be read, or lies outside by a link"
        if name not in names:
            return "not there"
        if names[name] and not self._is_inside(os.path.join(self._root, key)):
            return "a link out of the data folder"
        return ""

    def _read(self, parent: str) -> dict[str, bool] | None:
        """Name -> is it a link; None for a folder that is absent or outside."""
        folder = os.path.join(self._root, parent)
        if not self._is_inside(folder):
            return None
        try:
            with os.scandir(folder) as entries:
                return {e.name: e.is_symlink() for e in entries}
        except OSError:
            return None

    def _is_inside(self, path: str) -> bool:
        real = os.path.realpath(path)
        return real == self._real_root or real.startswith(self._real_root.rstrip(os.sep) + os.sep)
