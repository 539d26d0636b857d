"""A volume as it was read, and the limits that its header must keep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convscope.arrays.orientation import Grid
from convscope.errors import DataError, PictureError

MAX_VOLUME_BYTES = 2 << 30  # as float32


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels in the file's own order.

    Attributes:
        values: (x, y, z) or (x, y, z, t); float32 with the file's scaling applied, or the stored integers where it
            has none.
        grid: where they lie.
        notes: what a reader did that a person should know.
    """

    values: np.ndarray
    grid: Grid
    notes: tuple[str, ...] = ()

    def at_time(self, time: int, key: str) -> np.ndarray:
        """(x, y, z) at one time of a 4-D volume.

        Raises:
            PictureError: no such time.
        """
        if self.values.ndim == 3:
            return self.values
        if not 0 <= time < self.values.shape[3]:
            raise PictureError(key, f"expected a time from 0 to {self.values.shape[3] - 1}, got {time}")
        return self.values[..., time]


def checked_grid(shape: tuple[int, ...], affine: np.ndarray, key: str) -> Grid:
    """The grid of a volume's first three axes.

    Raises:
        PictureError: an affine that can't be used.
    """
    try:
        return Grid((shape[0], shape[1], shape[2]), np.asarray(affine, np.float64))
    except DataError as error:
        raise PictureError(key, str(error)) from None


def checked_shape(dims: tuple[int, ...], key: str) -> tuple[int, ...]:
    """The shape that a header claims, 3 or 4 axes.

    Raises:
        PictureError: a length below 1, another number of axes, or more than the limit.
    """
    if any(d < 1 for d in dims):
        raise PictureError(key, f"expected lengths of at least 1, its header says {dims}")
    while len(dims) > 3 and dims[-1] == 1:
        dims = dims[:-1]
    if len(dims) == 2:
        dims = (*dims, 1)
    if len(dims) not in (3, 4):
        raise PictureError(key, f"expected 3 or 4 axes, its header says {dims}")
    total = 4
    for d in dims:
        total *= int(d)
    if total > MAX_VOLUME_BYTES:
        raise PictureError(
            key, f"{' x '.join(map(str, dims))} voxels are {total / 2**30:,.1f} GiB, limit {MAX_VOLUME_BYTES >> 30} GiB"
        )
    return tuple(int(d) for d in dims)
