"""data.yaml of YOLO data sets: names, path, train, val, test are read; every other key is left alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from convscope.data.naming import shown
from convscope.data.regular import read_regular
from convscope.errors import DataError, PictureError

_MAX_YAML_BYTES = 1 << 20
_PARTS = ("train", "val", "test")


class _NoAliases(yaml.SafeLoader):
    """Plain values only; an alias is refused, since a few lines of them can stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse `*name`."""
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed")
        return super().compose_node(parent, index)


@dataclass(frozen=True)
class YoloPlan:
    """What a data.yaml says.

    Attributes:
        name: the file's name.
        names: classes in index order; () where it names none.
        parts: "train", "val", "test" -> the folders, files or lists of pictures named there.
        base: the folder that `path:` names inside the data folder, else "".
    """

    name: str
    names: tuple[str, ...]
    parts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    base: str = ""

    def assign(self, keys: Sequence[str], folder: Path) -> dict[str, str]:
        """Key -> part for the pictures that the file names.

        Raises:
            DataError: a part that lies outside the folder or names no picture, or a picture in two parts.
        """
        found: dict[str, str] = {}
        for part, places in self.parts.items():
            mine: set[str] = set()
            for place in places:
                mine |= self._keys_of(place, keys, folder)
            if not mine:
                raise DataError(
                    f"{shown(self.name)}: expected pictures of {part} at {shown(', '.join(places))}, found none"
                )
            twice = next((k for k in mine if k in found), None)
            if twice is not None and part != "test":
                raise DataError(
                    f"{shown(self.name)}: {shown(twice)} is in {found[twice]} and in {part}; keep it in one"
                )
            found |= {k: part for k in mine if k not in found}
        return found

    def _keys_of(self, place: str, keys: Sequence[str], folder: Path) -> set[str]:
        for candidate in self._candidates(place):
            if candidate.endswith(".txt") and (folder / candidate).is_file():
                text = read_regular(folder / candidate, max_bytes=64 << 20).decode("utf-8-sig", "replace")
                listed = {
                    PurePosixPath(line.strip()).as_posix().removeprefix("./")
                    for line in text.splitlines()
                    if line.strip()
                }
                return {k for k in keys if k in listed or any(line.endswith("/" + k) for line in listed)}
            inside = {k for k in keys if candidate in ("", ".") or k.startswith(candidate.rstrip("/") + "/")}
            if inside:
                return inside
        return set()

    def _candidates(self, place: str) -> list[str]:
        """Where `place` may lie below the folder; "../train/images", as one tool writes it, means train/images.

        Raises:
            DataError: it leads out of the data folder.
        """
        parts = list(PurePosixPath(place.replace("\\", "/")).parts)
        while parts and parts[0] in ("..", "."):
            parts.pop(0)
        if ".." in parts or PurePosixPath(place).is_absolute():
            raise DataError(f"{shown(self.name)}: expected paths inside the data folder, got {shown(place)!r}")
        plain = "/".join(parts)
        return [f"{self.base}/{plain}", plain] if self.base else [plain]


def plan_keys(path: Path) -> bool:
    """Whether a YAML file looks like a data file: its text has a line that begins with names: or train:."""
    try:
        data = read_regular(path, max_bytes=_MAX_YAML_BYTES)
    except PictureError:
        return False
    return any(line.startswith((b"names:", b"train:")) for line in data.splitlines())


def read_plan(path: Path) -> YoloPlan:
    """Read a data.yaml with a safe loader; tags that build objects, aliases and wrong kinds of values are refused.

    Raises:
        DataError: with the file's name and what was expected.
    """
    where = shown(path.name)
    try:
        value = yaml.load(read_regular(path, max_bytes=_MAX_YAML_BYTES), Loader=_NoAliases)
    except PictureError as error:
        raise DataError(str(error)) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise DataError(f"{where}: not YAML that can be used ({' '.join(str(error).split())[:160]})") from error
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected keys such as names, train and val, found {type(value).__name__}")
    parts = {p: _places(value[p], f"{where}: {p}") for p in _PARTS if value.get(p)}
    if not parts.get("val") and value.get("valid"):
        parts["val"] = _places(value["valid"], f"{where}: valid")
    return YoloPlan(path.name, _names(value.get("names"), where), parts, _base(value.get("path"), path.parent))


def _places(value: Any, where: str) -> tuple[str, ...]:
    places = value if isinstance(value, list) else [value]
    if not all(isinstance(p, str) for p in places):
        raise DataError(f"{where}: expected a path or a list of paths, got {shown(str(value)[:60])}")
    return tuple(places)


def _names(value: Any, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, dict):
        if sorted(value) != list(range(len(value))):
            raise DataError(f"{where}: expected names numbered 0 to {len(value) - 1} without gaps")
        value = [value[i] for i in range(len(value))]
    if not isinstance(value, list) or not all(isinstance(n, str | int | float | bool) for n in value):
        raise DataError(f"{where}: expected names as a list or as numbers with names, got {type(value).__name__}")
    names = tuple(str(n) for n in value)
    if len(set(names)) < len(names):
        raise DataError(f"{where}: two names are {next(n for n in names if names.count(n) > 1)!r}; rename one")
    return names


def _base(value: Any, folder: Path) -> str:
    """`path:` as a folder below the data file's; what lies elsewhere (another machine's disk) is left alone."""
    if not isinstance(value, str) or not value:
        return ""
    real, root = os.path.realpath(folder / value), os.path.realpath(folder)
    return (
        os.path.relpath(real, root).replace(os.sep, "/")
        if real.startswith(root + os.sep) and os.path.isdir(real)
        else ""
    )
