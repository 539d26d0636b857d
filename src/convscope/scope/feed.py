"""A whole data set as network input, a few pictures at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from convscope.data.fit import fit_picture
from convscope.errors import DataError
from convscope.records.geometry import Preprocess
from convscope.records.samples import Samples


class Feed(Protocol):
    """Network input by index."""

    @property
    def ids(self) -> tuple[str, ...]:
        """The pictures' names."""
        ...

    @property
    def truth(self) -> np.ndarray | None:
        """Class index (n,), or None."""
        ...

    def __len__(self) -> int:
        """How many pictures."""
        ...

    def take(self, start: int, stop: int) -> np.ndarray:
        """Pictures start..stop as the model takes them."""
        ...


@dataclass(frozen=True, eq=False)
class ArrayFeed:
    """An array (n, ...), in memory or mapped from a file."""

    array: np.ndarray
    ids: tuple[str, ...]
    truth: np.ndarray | None = None

    def __len__(self) -> int:
        """How many pictures."""
        return len(self.array)

    def take(self, start: int, stop: int) -> np.ndarray:
        """Pictures start..stop."""
        return np.asarray(self.array[start:stop])


@dataclass(frozen=True, eq=False)
class SamplesFeed:
    """Samples read and fitted as `preprocess` says."""

    samples: Samples
    preprocess: Preprocess

    @property
    def ids(self) -> tuple[str, ...]:
        """The pictures' names."""
        return tuple(self.samples.pictures.keys)

    @property
    def truth(self) -> np.ndarray | None:
        """Class index per picture."""
        return self.samples.truth if self.samples.task == "classify" else None

    def __len__(self) -> int:
        """How many pictures."""
        return len(self.samples)

    def take(self, start: int, stop: int) -> np.ndarray:
        """Pictures start..stop, decoded and fitted."""
        how = self.preprocess
        frame = None if how.height is None or how.width is None else (how.height, how.width)
        read = (self.samples.pictures.read(i, how.channels, frame) for i in range(start, stop))
        fitted = [fit_picture(picture, how)[0].astype(np.float32) * how.scale + how.offset for picture in read]
        return np.stack(fitted).astype(np.float32, copy=False)


def as_feed(
    data: Any, preprocess: Preprocess | None = None, *, ids: Sequence[str] = (), truth: np.ndarray | None = None
) -> Feed:
    """A Feed from an array (n, ...), from Samples or from a Feed.

    Raises:
        DataError: something else, Samples without preprocessing, not one id or truth for each picture.
    """
    if isinstance(data, Samples):
        if preprocess is None:
            raise DataError("expected a saved model with its preprocessing to read a data set, got a bare model")
        return SamplesFeed(data, preprocess)
    if isinstance(data, np.ndarray):
        names = tuple(ids) or tuple(f"array/{i:06d}" for i in range(len(data)))
        if len(names) != len(data) or (truth is not None and len(truth) != len(data)):
            raise DataError(f"expected one id and one truth for each of {len(data)} pictures")
        return ArrayFeed(data, names, None if truth is None else np.asarray(truth))
    if hasattr(data, "take") and hasattr(data, "ids"):
        return data
    raise DataError(f"expected an array, Samples or a Feed, got {type(data).__name__}")
