"""Masks: which class each pixel of a picture belongs to, read when it is needed; and the masks of many pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

VOID = 255  # pixels of which nothing is said; they count in no loss and no score


class MaskTruth(Protocol):
    """The mask of one picture; must be safe to read from several threads and picklable."""

    @property
    def picture_hw(self) -> tuple[int, int]:
        """Height and width in pixels of the whole picture, which are the mask's."""
        ...

    def read(self) -> np.ndarray:
        """(height, width) uint8 class index, VOID where nothing is said.

        Raises:
            DataError: the mask can't be read, or holds a value that stands for no class.
        """
        ...

    def fingerprint(self) -> bytes:
        """Bytes that change when the mask does; cheap: the name and size of a file, not its pixels."""
        ...


@dataclass(frozen=True, eq=False)
class ArrayMask:
    """A mask in memory: values (height, width) uint8, as MaskTruth.read gives."""

    values: np.ndarray

    @property
    def picture_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return int(self.values.shape[0]), int(self.values.shape[1])

    def read(self) -> np.ndarray:
        """Return the values."""
        return self.values

    def fingerprint(self) -> bytes:
        """Shape and values."""
        return repr(self.values.shape).encode() + np.ascontiguousarray(self.values).tobytes()


@dataclass(frozen=True, eq=False)
class Segmentations:
    """What a network made of n pictures.

    Attributes:
        keys: the pictures' names.
        masks: one (height, width) uint8 class index for each picture, in the picture's own frame.
        classes: names in index order; the first is usually the background.
        truth: one for each picture, or None.
        spacing_mm: size (vertical, horizontal) of a pixel in millimetres for each picture, or None for pixels.
        cases: the patient, study or volume that each picture belongs to, or None: each is its own case.
    """

    keys: tuple[str, ...]
    masks: tuple[np.ndarray, ...]
    classes: tuple[str, ...]
    truth: tuple[MaskTruth, ...] | None = None
    spacing_mm: tuple[tuple[float, float], ...] | None = None
    cases: tuple[str, ...] | None = None
