"""What the studio may open: the runs, models and data that were given at its start; everything else is out of reach.

The page never sends a path. It sends an id that was made here from a place that was found here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from convscope.actions.opening import BUNDLE, RUNS, find_run
from convscope.data.naming import shown
from convscope.errors import DataNotFoundError
from convscope.files.journal import JOURNAL
from convscope.files.manifest import MANIFEST

Kind = Literal["run", "model", "data"]


class UnknownPlaceError(DataNotFoundError):
    """An id that stands for nothing that is open."""


@dataclass(frozen=True)
class Place:
    """One thing that can be opened.

    Attributes:
        id: sixteen hexadecimal digits; what the page sends.
        kind: "run", "model" (a bundle or a .keras file) or "data" (a folder or table of pictures).
        name: for people; one line.
        path: where it lies; never sent.
    """

    id: str
    kind: Kind
    name: str
    path: Path


class Places:
    """The opened places, read anew at each question, so that runs that begin later are found.

    Args:
        given: runs, folders of runs, models and data, as on the command line.
        runs: the folder that new runs are written to; its runs are always open.

    Raises:
        DataNotFoundError: something given is not there.
    """

    def __init__(self, given: Sequence[str | Path] = (), runs: Path = RUNS) -> None:
        """Tell what each given path is."""
        self.runs = runs.resolve()
        self._folders = [self.runs]
        self._places: list[Place] = []
        for one in given:
            self._add(one)

    def _add(self, given: str | Path) -> None:
        path = Path(given)
        if str(given) == "last" or not path.exists():
            path = find_run(given, self.runs)
        path = path.resolve()
        if path.is_dir() and not (path / JOURNAL).is_file() and any(path.glob(f"*/{JOURNAL}")):
            self._folders.append(path)
        else:
            self._places.append(_place(_kind(path), path))

    @property
    def first(self) -> str:
        """Id of what was given first; "" when nothing was."""
        return self._places[0].id if self._places else ""

    def all(self) -> list[Place]:
        """Everything that is open: what was given, then the runs of the opened folders, the newest first."""
        found = {p.id: p for p in self._places}
        for folder in self._folders:
            journals = [j for j in folder.glob(f"*/{JOURNAL}") if _inside(j, folder)]
            for journal in sorted(journals, key=lambda j: -j.stat().st_mtime_ns):
                place = _place("run", journal.parent)
                found.setdefault(place.id, place)
        return list(found.values())

    def get(self, id: str, *kinds: Kind) -> Place:
        """The place of an id.

        Raises:
            UnknownPlaceError: no such place, or one of another kind.
        """
        for place in self.all():
            if place.id == id and (not kinds or place.kind in kinds):
                return place
        what = " or ".join(kinds) or "place"
        raise UnknownPlaceError(
            f"expected an open {what}, found none of that id; start the studio with it: convscope studio PATH"
        )


def _inside(path: Path, folder: Path) -> bool:
    """Whether a file really lies in the folder, links followed."""
    return path.resolve().is_relative_to(folder)


def _place(kind: Kind, path: Path) -> Place:
    digest = hashlib.sha256(f"{kind}\0{path}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return Place(digest, kind, shown(path.name), path)


def _kind(path: Path) -> Kind:
    if (path / JOURNAL).is_file():
        return "run"
    if path.suffix == ".keras" or (path / MANIFEST).is_file() or path.name == BUNDLE:
        return "model"
    return "data"


def has_model(place: Place) -> bool:
    """Whether a finished model can be opened there."""
    return place.kind == "model" or (place.kind == "run" and (place.path / BUNDLE).is_dir())
