"""A data set as a record: pictures by index, truths, groups, and what was set aside."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from convscope.errors import DataError

Task = Literal["classify", "multilabel", "regress", "detect", "segment"]


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture.

    Attributes:
        values: (height, width, channels); uint8 or float32, both in 0..255; channels 3 in RGB order, or 1 grey.
            Arrays given by the user with fit="as-is" keep their own shape, dtype and range.
        source_hw: height and width in pixels of the whole picture after EXIF orientation; larger than `values`
            when a JPEG was decoded at a reduced size.
        notes: what a reader did that a person should know ("alpha composited on black", "first of 3 frames").
    """

    values: np.ndarray
    source_hw: tuple[int, int]
    notes: tuple[str, ...] = ()


class PictureSource(Protocol):
    """Pictures by index; must be safe to call from several threads and picklable.

    `keys` are the identities that people see and that splits hash: a path relative to the data folder with
    forward slashes, or "array/000012".
    """

    @property
    def keys(self) -> Sequence[str]:
        """Their identities."""
        ...

    def __len__(self) -> int:
        """How many pictures."""
        ...

    def read(self, index: int, channels: int, at_least_hw: tuple[int, int] | None = None) -> Picture:
        """Decode one picture; a JPEG may come reduced as long as both sides stay at least `at_least_hw`.

        Raises:
            PictureError: the picture can't be read.
        """
        ...

    def subset(self, indices: np.ndarray) -> PictureSource:
        """The same source restricted to `indices`, in that order."""
        ...


@dataclass(frozen=True)
class SetAside:
    """A picture that was left out, and why."""

    key: str
    reason: str


@dataclass(frozen=True, eq=False)
class Samples:
    """What a reader returns, a split divides and a loader serves.

    Attributes:
        pictures: the pictures, by index.
        truth: classify: (n,) int64 class index; multilabel: (n, k) float32 of 0 and 1; regress: (n, k) float32;
            detect: (n,) object array of records.boxes.Boxes; segment: (n,) object array of records.masks.MaskTruth.
            None when there is no truth (prediction).
        task: what `truth` means.
        classes: class names in index order; for regress the names of the target columns.
        groups: one name per sample (same patient, same part), kept on one side of every split; or None.
        given_split: "train", "val" or "test" per sample where the data itself says so; or None.
        set_aside: what the reader left out.
        source: how it was read, in words ("one folder per class").
        root: the data folder, or None.
    """

    pictures: PictureSource
    truth: np.ndarray | None
    task: Task
    classes: tuple[str, ...]
    groups: tuple[str, ...] | None = None
    given_split: tuple[str, ...] | None = None
    set_aside: tuple[SetAside, ...] = ()
    source: str = ""
    root: Path | None = None

    def __post_init__(self) -> None:
        """Check that every column has one entry per picture."""
        n = len(self.pictures)
        for name in ("truth", "groups", "given_split"):
            column = getattr(self, name)
            if column is not None and len(column) != n:
                raise DataError(f"expected one {name} for each of {n} pictures, got {len(column)}")

    def __len__(self) -> int:
        """How many pictures."""
        return len(self.pictures)

    def subset(self, indices: np.ndarray) -> Samples:
        """These samples only, in this order; `set_aside` stays with the whole."""
        indices = np.asarray(indices, np.int64)
        return replace(
            self,
            pictures=self.pictures.subset(indices),
            truth=None if self.truth is None else self.truth[indices],
            groups=None if self.groups is None else tuple(self.groups[i] for i in indices),
            given_split=None if self.given_split is None else tuple(self.given_split[i] for i in indices),
            set_aside=(),
        )


def truth_bytes(truth: np.ndarray | None) -> bytes:
    """What a fingerprint of truth is made of: equal for equal truth, whatever its kind.

    Boxes and masks say it themselves by `fingerprint()`.
    """
    if truth is None:
        return b""
    if truth.dtype != object:
        return np.ascontiguousarray(truth).tobytes()
    return b"\0".join(hashlib.sha256(one.fingerprint()).digest() for one in truth)


@dataclass(frozen=True, eq=False)
class Split:
    """Indices into one Samples; each picture is in exactly one part. `rule` says in words how it was made."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    rule: str


@dataclass(frozen=True, eq=False)
class Batch:
    """What the loader yields.

    Attributes:
        images: (n, height, width, channels), uint8 or float32 in 0..255 (as given for fit="as-is").
        truth: as in Samples, for these pictures; or None.
        indices: (n,) int64 into the Samples.
        epoch: which pass; chance depends on it.
        draws: augmentation parameters per sample, name -> (n, ...) float32, or None for no augmentation.
        partners: (n, height, width, channels) the MixUp/CutMix partner pictures, or None.
        partner_truth: the partners' truth, or None.
    """

    images: np.ndarray
    truth: np.ndarray | None
    indices: np.ndarray
    epoch: int = 0
    draws: dict[str, np.ndarray] | None = None
    partners: np.ndarray | None = None
    partner_truth: np.ndarray | None = None
