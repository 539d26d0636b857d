"""Which way a volume lies: its axes brought to left, back and top of the patient, cut into planes, and put back.

Affines map voxel numbers to millimetres with x to the patient's right, y to the front, z to the top (RAS+, as NIfTI
has it; DICOM's and NRRD's LPS+ is this with the first two rows negated). Pictures are cut as radiologists look at them:
axial from the feet with the front above and the patient's right at the left edge; coronal from the front with the top
above and the right at the left edge; sagittal from the left side with the top above and the front at the left edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from convscope.errors import DataError

Plane = Literal["axial", "coronal", "sagittal"]
PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
_ACROSS = {"axial": 2, "coronal": 1, "sagittal": 0}  # axis of (left, back, top) that a plane steps along


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the voxels of a volume lie.

    Attributes:
        shape: of the volume in the file's own order.
        affine: (4, 4) float64, voxel numbers -> mm RAS+.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray

    def __post_init__(self) -> None:
        """Check that the affine can be used.

        Raises:
            DataError: numbers that are not finite, or axes that fall together.
        """
        inner = np.asarray(self.affine, np.float64)[:3, :3]
        if not np.isfinite(self.affine).all() or abs(np.linalg.det(inner)) < 1e-12:
            raise DataError("expected an affine of finite numbers that spans space, got one that does not")

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Size of a voxel along the file's own axes."""
        sizes = np.linalg.norm(np.asarray(self.affine, np.float64)[:3, :3], axis=0)
        return float(sizes[0]), float(sizes[1]), float(sizes[2])

    @property
    def turns(self) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
        """For left, back and top: which own axis lies nearest, and whether it runs the other way."""
        inner = np.asarray(self.affine, np.float64)[:3, :3]
        u, _, v = np.linalg.svd(inner / np.linalg.norm(inner, axis=0))
        cosines = np.diag([-1.0, -1.0, 1.0]) @ (u @ v)  # LPS rows, own axes as columns
        _, own = linear_sum_assignment(-np.abs(cosines))
        signs = [cosines[row, axis] < 0 for row, axis in enumerate(own)]
        return (int(own[0]), int(own[1]), int(own[2])), (bool(signs[0]), bool(signs[1]), bool(signs[2]))

    @property
    def codes(self) -> str:
        """Where the own axes run, as in "RAS"."""
        axes, flips = self.turns
        letters = ["", "", ""]
        for row, (axis, is_flipped) in enumerate(zip(axes, flips)):
            letters[axis] = ("LR", "PA", "SI")[row][is_flipped]
        return "".join(letters)

    def to_lps(self, values: np.ndarray) -> np.ndarray:
        """(*shape) in the own order -> a view with axes to left, back and top."""
        axes, flips = self.turns
        return np.flip(values.transpose(axes), tuple(i for i, f in enumerate(flips) if f))

    def from_lps(self, values: np.ndarray) -> np.ndarray:
        """What `to_lps` gave -> a view in the own order."""
        axes, flips = self.turns
        turned = np.flip(values, tuple(i for i, f in enumerate(flips) if f))
        return turned.transpose(np.argsort(axes))

    def count(self, plane: Plane) -> int:
        """How many slices a plane has."""
        return self.shape[self.turns[0][_ACROSS[plane]]]

    def pixel_mm(self, plane: Plane) -> tuple[float, float]:
        """Size (vertical, horizontal) of a pixel of the plane's pictures."""
        sizes = [self.spacing_mm[axis] for axis in self.turns[0]]
        rest = [s for i, s in enumerate(sizes) if i != _ACROSS[plane]]
        return rest[1], rest[0]

    def gap_mm(self, plane: Plane) -> float:
        """From one slice of the plane to the next."""
        return self.spacing_mm[self.turns[0][_ACROSS[plane]]]


def cut(lps: np.ndarray, plane: Plane, index: int) -> np.ndarray:
    """One picture (height, width) of a volume with axes to left, back and top; axial slices count from the feet."""
    if plane == "axial":
        return lps[:, :, index].T
    if plane == "coronal":
        return lps[:, index, ::-1].T
    return lps[index, :, ::-1].T


def joined(pictures: Sequence[np.ndarray], plane: Plane) -> np.ndarray:
    """All pictures of a plane, in order -> the volume with axes to left, back and top."""
    stack = np.stack(pictures)
    if plane == "axial":
        return stack.transpose(2, 1, 0)
    if plane == "coronal":
        return stack.transpose(2, 0, 1)[:, :, ::-1]
    return stack.transpose(0, 2, 1)[:, :, ::-1]
