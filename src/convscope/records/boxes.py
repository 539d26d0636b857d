"""Boxes on a picture: the truth of one picture, what a detector found in it, and the findings of many pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convscope.errors import DataError

Polygons = tuple[tuple[np.ndarray, ...], ...]


@dataclass(frozen=True, eq=False)
class Boxes:
    """The objects that people marked on one picture; possibly none (background).

    Attributes:
        xyxy: (k, 4) float32 left, top, right, bottom in pixels of the whole picture after EXIF orientation; edges,
            not centres of pixels: a box over the whole picture is (0, 0, width, height).
        labels: (k,) int64 class index.
        picture_hw: height and width of the picture in pixels.
        crowd: (k,) bool, a COCO group that counts neither for nor against; None for none.
        polygons: for each box its outlines, each (n, 2) float32 of x, y; kept for segmentation; None for none.
        areas: (k,) float64 square pixels of what the box holds, where a file says so (COCO: of the outline), by which
            small, medium and large are told; None: the boxes' own areas.
    """

    xyxy: np.ndarray
    labels: np.ndarray
    picture_hw: tuple[int, int]
    crowd: np.ndarray | None = None
    polygons: Polygons | None = None
    areas: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Check that every column has one entry per box."""
        k = len(self.labels)
        if self.xyxy.shape != (k, 4):
            raise DataError(f"expected boxes of shape ({k}, 4), got {self.xyxy.shape}")
        for name in ("crowd", "polygons", "areas"):
            column = getattr(self, name)
            if column is not None and len(column) != k:
                raise DataError(f"expected one {name} for each of {k} boxes, got {len(column)}")

    def __len__(self) -> int:
        """How many boxes."""
        return len(self.labels)

    @property
    def is_crowd(self) -> np.ndarray:
        """(k,) bool; all False where nothing was said."""
        return np.zeros(len(self), bool) if self.crowd is None else self.crowd

    def fingerprint(self) -> bytes:
        """Bytes that are equal for equal boxes."""
        parts = (
            np.asarray(self.xyxy, np.float32),
            np.asarray(self.labels, np.int64),
            self.is_crowd,
            np.array(self.picture_hw),
        )
        return b"\0".join(np.ascontiguousarray(part).tobytes() for part in parts)


@dataclass(frozen=True, eq=False)
class Found:
    """What a detector found in one picture, the surest first.

    Attributes:
        xyxy: (k, 4) float32, as in Boxes.
        labels: (k,) int64 class index.
        scores: (k,) float32 in 0..1.
        picture_hw: height and width of the picture in pixels.
    """

    xyxy: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    picture_hw: tuple[int, int]

    def __len__(self) -> int:
        """How many boxes."""
        return len(self.labels)

    def above(self, score: float) -> Found:
        """Only the boxes that are at least as sure as `score`."""
        kept = self.scores >= score
        return Found(self.xyxy[kept], self.labels[kept], self.scores[kept], self.picture_hw)


@dataclass(frozen=True, eq=False)
class Detections:
    """What a detector found in n pictures.

    Attributes:
        keys: the pictures' names.
        found: one for each picture.
        classes: names in index order.
        truth: one for each picture, or None.
        score_threshold: a box below this is not shown to people; metrics count all.
    """

    keys: tuple[str, ...]
    found: tuple[Found, ...]
    classes: tuple[str, ...]
    truth: tuple[Boxes, ...] | None = None
    score_threshold: float = 0.25
