"""Slices of volumes as pictures and masks, read when asked for; a few volumes are kept open."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from convscope.arrays.orientation import Grid, Plane, cut
from convscope.data.dicom_series import read_series
from convscope.data.greys import Greys, given_greys, greys_of
from convscope.data.nifti import read_nifti
from convscope.data.nrrd_file import read_nrrd
from convscope.data.stored import with_channels
from convscope.data.volume import Volume
from convscope.errors import PictureError
from convscope.records.masks import VOID
from convscope.records.samples import Picture

VolumeKind = Literal["dicom", "nifti", "nrrd"]
KEPT_BYTES = 1 << 30


@dataclass(frozen=True)
class VolumeFile:
    """One volume on disk.

    Attributes:
        kind: how it is read.
        paths: its file; of a DICOM series all of them.
        name: the study id under which it is shown.
        time: which time of a 4-D volume.
        window: values of black and white as the user gave them; None: 0.5 and 99.5 percentile of the whole volume.
    """

    kind: VolumeKind
    paths: tuple[Path, ...]
    name: str
    time: int = 0
    window: tuple[float, float] | None = None

    def load(self) -> Volume:
        """Read it whole.

        Raises:
            PictureError: it can't be read; names the study id.
        """
        if self.kind == "dicom":
            return read_series(self.paths, self.name)
        return (read_nifti if self.kind == "nifti" else read_nrrd)(self.paths[0], self.name)


@dataclass(frozen=True, eq=False)
class Opened:
    """A volume turned to left, back and top, with its greys."""

    lps: np.ndarray
    grid: Grid
    greys: Greys
    notes: tuple[str, ...]


class _Shelf:
    """The volumes used last, within a budget of bytes; shared by all threads of the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[VolumeFile, Opened] = OrderedDict()
        self._reading: dict[VolumeFile, threading.Lock] = {}

    def get(self, file: VolumeFile) -> Opened:
        """The volume; read by one thread while others that want the same one wait."""
        with self._lock:
            if file in self._held:
                self._held.move_to_end(file)
                return self._held[file]
            gate = self._reading.setdefault(file, threading.Lock())
        with gate:
            with self._lock:
                if file in self._held:
                    return self._held[file]
            opened = _opened(file)
            with self._lock:
                self._held[file] = opened
                self._reading.pop(file, None)
                while len(self._held) > 1 and sum(o.lps.nbytes for o in self._held.values()) > KEPT_BYTES:
                    self._held.popitem(last=False)
            return opened


_shelf = _Shelf()


def _opened(file: VolumeFile) -> Opened:
    volume = file.load()
    values = volume.at_time(file.time, file.name)
    notes = volume.notes
    if volume.values.ndim == 4:
        notes = (*notes, f"time {file.time} of {volume.values.shape[3]}")
    bad = int(values.size - np.isfinite(values).sum()) if values.dtype.kind == "f" else 0
    if bad:
        notes = (*notes, f"{bad:,} voxels are no numbers, shown black")
    greys = greys_of(values) if file.window is None else given_greys(*file.window)
    return Opened(volume.grid.to_lps(values), volume.grid, greys, notes)


def open_volume(file: VolumeFile) -> Opened:
    """The volume turned to left, back and top; kept for the next slice.

    Raises:
        PictureError: it can't be read.
    """
    return _shelf.get(file)


@dataclass(frozen=True, eq=False)
class SlicesSource:
    """Slices of volumes in one plane; a PictureSource.

    Attributes:
        files: the volumes.
        places: for each picture its volume's number and its slice's.
        plane: how volumes are cut.
        keys: "study-9f31.../axial-0042".
    """

    files: tuple[VolumeFile, ...]
    places: tuple[tuple[int, int], ...]
    plane: Plane
    keys: Sequence[str]

    def __len__(self) -> int:
        """How many pictures."""
        return len(self.places)

    def file_of(self, index: int) -> Path:
        """Where picture `index` lies; for the terminal of its owner only (--show-paths)."""
        return self.files[self.places[index][0]].paths[0]

    def read(self, index: int, channels: int, at_least_hw: tuple[int, int] | None = None) -> Picture:
        """One slice as float32 in 0..255, scaled alike in the whole volume; never reduced."""
        number, place = self.places[index]
        opened = open_volume(self.files[number])
        values = opened.greys.apply(cut(opened.lps, self.plane, place))
        hw = (int(values.shape[0]), int(values.shape[1]))
        return Picture(with_channels(values, channels), hw, (*opened.notes, opened.greys.words))

    def subset(self, indices: np.ndarray) -> SlicesSource:
        """The same volumes restricted to these pictures, in this order."""
        chosen = [int(i) for i in indices]
        return SlicesSource(
            self.files, tuple(self.places[i] for i in chosen), self.plane, tuple(self.keys[i] for i in chosen)
        )


@dataclass(frozen=True, eq=False)
class SliceMask:
    """One slice of a label volume; a MaskTruth. `values` are its values in index order."""

    file: VolumeFile
    plane: Plane
    place: int
    values: tuple[int, ...]
    picture_hw: tuple[int, int]

    def fingerprint(self) -> bytes:
        """Which slice of which volume, and what its values stand for."""
        return repr((self.file.name, self.plane, self.place, self.values)).encode("utf-8", "surrogateescape")

    def read(self) -> np.ndarray:
        """(height, width) uint8 class index.

        Raises:
            PictureError: unreadable, or a value that stands for no class.
        """
        stored = cut(open_volume(self.file).lps, self.plane, self.place)
        return label_indices(stored, self.values, self.file.name)


def label_indices(stored: np.ndarray, values: tuple[int, ...], key: str) -> np.ndarray:
    """Label values -> uint8 class index; 255 is VOID where it is no class.

    Raises:
        PictureError: a value that stands for no class.
    """
    known = np.array(values, np.float64)
    order = np.argsort(known)
    places = np.minimum(np.searchsorted(known[order], stored), len(known) - 1)
    is_known = known[order][places] == stored
    is_void = (stored == VOID) & ~is_known
    if not (is_known | is_void).all():
        strange = stored[~(is_known | is_void)]
        raise PictureError(key, f"{strange.size:,} voxels of value {float(strange.flat[0]):g}, which is no class")
    return np.where(is_void, VOID, order[places]).astype(np.uint8)
