"""Pictures that lie in files: decoded when asked for, never kept."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convscope.data.decode import decode_picture
from convscope.data.regular import read_regular
from convscope.data.stored import DEFAULT_LIMITS, Limits
from convscope.records.samples import Picture


@dataclass(frozen=True, eq=False)
class FilesSource:
    """Picture files below one folder; a PictureSource.

    Attributes:
        root: the folder that `keys` are relative to.
        keys: paths with forward slashes.
        limits: pictures that claim more are refused by their header.
    """

    root: Path
    keys: Sequence[str]
    limits: Limits = DEFAULT_LIMITS

    def __len__(self) -> int:
        """How many pictures."""
        return len(self.keys)

    def path(self, index: int) -> Path:
        """Where picture `index` lies."""
        return self.root / self.keys[index]

    def read_bytes(self, index: int) -> bytes:
        """The file as it is.

        Raises:
            PictureError: gone, no permission, or not an ordinary file.
        """
        return read_regular(os.path.join(self.root, self.keys[index]), key=self.keys[index])

    def read(self, index: int, channels: int, at_least_hw: tuple[int, int] | None = None) -> Picture:
        """Decode one picture; see `decode.decode_picture`."""
        return decode_picture(self.read_bytes(index), self.keys[index], channels, at_least_hw, limits=self.limits)

    def subset(self, indices: np.ndarray) -> FilesSource:
        """The same files restricted to `indices`, in that order."""
        return FilesSource(self.root, tuple(self.keys[int(i)] for i in indices), self.limits)
