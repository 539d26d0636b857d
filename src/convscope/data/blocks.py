"""Blocks: neighbouring slices of a volume as one picture, a slice in each channel, for networks that see volumes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from convscope.arrays.window import starts
from convscope.data.slices import SlicesSource
from convscope.errors import PlanError
from convscope.records.masks import VOID, MaskTruth
from convscope.records.samples import Picture, Samples

OVERLAP = 0.5  # neighbouring blocks share half their slices, so that each slice is also seen in a block's middle


@dataclass(frozen=True, eq=False)
class BlocksSource:
    """Blocks of pictures; a PictureSource.

    Attributes:
        slices: the pictures.
        members: for each block which pictures it holds, in order; at most `depth`.
        depth: channels of each block; where there are fewer slices there is black around them.
        keys: "study-9f31.../axial-0008-0023".
    """

    slices: SlicesSource
    members: tuple[tuple[int, ...], ...]
    depth: int
    keys: Sequence[str]

    def __len__(self) -> int:
        """How many blocks."""
        return len(self.members)

    def read(self, index: int, channels: int, at_least_hw: tuple[int, int] | None = None) -> Picture:
        """One block as (h, w, depth) float32 in 0..255; `channels` is the depth."""
        read = [self.slices.read(i, 1) for i in self.members[index]]
        values = np.zeros((*read[0].values.shape[:2], self.depth), np.float32)
        for place, one in enumerate(read, start=(self.depth - len(read)) // 2):
            values[..., place] = one.values[..., 0]
        return replace(read[0], values=values)

    def subset(self, indices: np.ndarray) -> BlocksSource:
        """Some blocks, in this order."""
        chosen = [int(i) for i in indices]
        members, keys = tuple(self.members[i] for i in chosen), tuple(self.keys[i] for i in chosen)
        return BlocksSource(self.slices, members, self.depth, keys)


@dataclass(frozen=True, eq=False)
class BlockMask:
    """The masks of a block's slices; a MaskTruth whose mask has a third axis."""

    slices: tuple[MaskTruth, ...]
    depth: int

    @property
    def picture_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.slices[0].picture_hw

    def fingerprint(self) -> bytes:
        """Those of the slices."""
        return b"\0".join([str(self.depth).encode(), *(one.fingerprint() for one in self.slices)])

    def read(self) -> np.ndarray:
        """(height, width, depth) uint8 class index; VOID where there is no slice."""
        read = [one.read() for one in self.slices]
        whole = np.full((*read[0].shape, self.depth), VOID, np.uint8)
        for place, one in enumerate(read, start=(self.depth - len(read)) // 2):
            whole[..., place] = one
        return whole


def neighbours(samples: Samples) -> Iterator[tuple[int, ...]]:
    """Which pictures lie side by side in one volume, in order; one tuple for each unbroken run.

    Raises:
        PlanError: pictures that are no slices of volumes.
    """
    source = samples.pictures
    if not isinstance(source, SlicesSource):
        raise PlanError(
            "expected volumes (DICOM series, NIfTI, NRRD) for a network that sees blocks of slices, got single "
            "pictures; choose another model, e.g. unet"
        )
    run: list[int] = []
    for index in sorted(range(len(source)), key=lambda i: source.places[i]):
        number, place = source.places[index]
        if run and source.places[run[-1]] != (number, place - 1):
            yield tuple(run)
            run = []
        run.append(index)
    if run:
        yield tuple(run)


def blocks_of(samples: Samples, depth: int) -> Samples:
    """The same slices as blocks that overlap by half; truth goes with them.

    Args:
        samples: slices of volumes; a run of fewer than `depth` neighbours makes one block with black around it.
        depth: slices of a block.

    Raises:
        PlanError: pictures that are no slices of volumes.
    """
    members = [run[at : at + depth] for run in neighbours(samples) for at in starts(len(run), depth, OVERLAP)]
    source = samples.pictures
    assert isinstance(source, SlicesSource)  # neighbours has checked
    ends = [(source.keys[one[0]], source.places[one[-1]][1]) for one in members]
    blocks = BlocksSource(source, tuple(members), depth, tuple(f"{first}-{last:04d}" for first, last in ends))
    truth = None
    if samples.truth is not None:
        truth = np.empty(len(members), object)
        for place, one in enumerate(members):
            truth[place] = BlockMask(tuple(samples.truth[i] for i in one), depth)
    return replace(samples, pictures=blocks, truth=truth, groups=None, given_split=None)
