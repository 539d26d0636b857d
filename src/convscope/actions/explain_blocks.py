"""Why a network that sees blocks of slices marks a region: heat in three axes, shown slice by slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from convscope.actions.regions import RegionAim, Regions, find_regions
from convscope.data.blocks import BlocksSource, blocks_of
from convscope.errors import DataError, PlanError
from convscope.explaining.doubt import DOUBTS
from convscope.explaining.method import method as registered
from convscope.records.attribution import Attribution
from convscope.records.card import Opened
from convscope.records.progress import Progress
from convscope.records.samples import Samples


@dataclass(frozen=True, eq=False)
class Blocks:
    """The blocks that hold a region, and the slices of it.

    Attributes:
        asked: one row for each block.
        slices: one row for each slice in which the region lies, as pictures of their own.
        at: (m, 2) for each such slice the row of its block and its place in it. A slice that lies in several blocks
            is read from the one in whose middle it is.
    """

    asked: Regions
    slices: Regions
    at: np.ndarray


def check_methods(methods: Sequence[str]) -> None:
    """Refuse, before anything is run, the methods that hide all slices of a block together.

    Raises:
        PlanError: naming the first of them.
    """
    for name in methods:
        if name not in DOUBTS and registered(name).family == "perturbation" and not registered(name).needs_layer:
            raise _tells_nothing_apart(name)


def _tells_nothing_apart(name: str) -> PlanError:
    return PlanError(
        f"expected a method that tells the slices of a block apart, {name} does not; "
        "grad-cam, layer-cam and integrated-gradients do"
    )


def find_blocks(opened: Opened, samples: Samples, aim: RegionAim, depth: int, *, progress: Progress) -> Blocks:
    """Segment the blocks of all volumes and take from each the region that was asked for.

    Raises:
        DataError: it is in none of them. PlanError: a point, which names no place in a volume.
    """
    if aim.point_yx is not None:
        raise PlanError("expected a class to explain in blocks of slices, got a point too; leave out @ROW,COLUMN")
    blocks = blocks_of(samples, depth)
    asked = find_regions(opened, blocks, aim, progress=progress)
    assert isinstance(blocks.pictures, BlocksSource)
    nearest: dict[int, tuple[float, int, int]] = {}
    for row, number in enumerate(asked.indices):
        held = blocks.pictures.members[number]
        for place, index in enumerate(held, start=(depth - len(held)) // 2):
            here = (abs(place - (depth - 1) / 2), row, place)
            if asked.masks[row, ..., place].any() and here < nearest.get(index, (np.inf, 0, 0)):
                nearest[index] = here
    if not nearest:
        raise DataError("expected a region to explain, the network marks one beside the volume only")
    indices = tuple(sorted(nearest))
    at = np.array([nearest[i][1:] for i in indices])
    rows, places = at.T
    slices = Regions(
        images=asked.images[rows, ..., places, None],
        masks=asked.masks[rows, ..., places],
        labels=asked.labels[rows],
        names=tuple(samples.pictures.keys[i] for i in indices),
        places=tuple(asked.places[row] for row in rows.tolist()),
        indices=indices,
    )
    return Blocks(asked, slices, at)


def on_slices(made: Attribution, blocks: Blocks) -> Attribution:
    """The heat of blocks as one heat map for each slice of the region.

    Raises:
        PlanError: the method gives one heat map for all slices of a block.
    """
    rows, places = blocks.at.T
    deep = _in_frame(made, blocks.asked.masks.shape[1:])
    facts = {k: v[rows] if isinstance(v, np.ndarray) and len(v) == len(deep) else v for k, v in made.facts.items()}
    reason = made.layer_reason
    if made.layers and made.values is not None:
        reason += f", its {'×'.join(map(str, made.values.shape[1:]))} enlarged to the block"
    return replace(
        made,
        heat=deep[rows, ..., places],
        layer_reason=reason,
        values=None,
        targets=tuple(made.targets[row] for row in rows),
        scores=made.scores[rows],
        labels=blocks.slices.names,
        facts=facts,
    )


def _in_frame(made: Attribution, size: tuple[int, ...]) -> np.ndarray:
    """(n, h, w, slices) float32, maps of a layer enlarged along all three axes."""
    if made.values is None:
        raise _tells_nothing_apart(made.method)
    joins_by_size = made.method not in DOUBTS and registered(made.method).join == "largest size"
    values = np.abs(made.values) if joins_by_size else made.values
    values = values if made.signed else np.maximum(values, 0)
    factors = [want / have for want, have in zip(size, values.shape[1:], strict=True)]
    large = [ndimage.zoom(one, factors, order=1, mode="nearest", grid_mode=True) for one in values]
    return np.stack(large).astype(np.float32)
